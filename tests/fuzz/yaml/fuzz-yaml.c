/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a configuration file. Beyond not crashing: a refused file has an error, an accepted
 * one has none and keeps the promises of model.h; every message is one line of valid UTF-8.
 */
#include "fuzz.h"

#include <glib.h>
#include <string.h>

#include "config/model.h"
#include "config/scalar.h"

static const char small[] =
    "version: 1\nportals: { p: { listen: 10.0.0.1 } }\n"
    "targets: { iqn.2026-11.org.example:t: { luns: { 0: { handler: ram } } } }\n";
static const char large[] =
    "version: 1\n"
    "daemon: { reactors: auto, busy-poll: 50us, state-directory: /a, control-socket: /b,\n"
    "  plugin-path: [/c, /d], user: u, log-level: debug, login-timeout: 1m, max-connections: 9,\n"
    "  buffer-memory: 1G, nop-interval: 0, nop-timeout: 5s }\n"
    "portals:\n"
    "  san: { listen: [\"0.0.0.0:3260\", \"[::]:3260\"], tag: 1 }\n"
    "  lan: { listen: \"[fe80::1%lo]:99\" }\n"
    "fence: { plugin: nftables, options: {} }\n"
    "auth:\n"
    "  lab:\n"
    "    plugin: chap\n"
    "    options:\n"
    "      users: [ { name: host1, secret-file: /etc/x } ]\n"
    "targets:\n"
    "  iqn.2026-11.org.example:disk1:\n"
    "    alias: |\n"
    "      text\n"
    "    portals: [san]\n"
    "    auth: lab\n"
    "    initiators: [\"iqn.1993-08.org.debian:01:*\"]\n"
    "    session: { max-connections: 8, first-burst-length: 256K, header-digest: [none, crc32c] }\n"
    "    luns:\n"
    "      0: { handler: file, options: { path: /srv/disk1.img, size: 20G }, serial: a1b2c3d4 }\n"
    "      1: { handler: ram, naa: 5001405000000001, eui: 0123456789abcdef, read-only: no }\n"
    "  eui.0123456789ABCDEF: { portals: [lan] }\n";
static const char odd[] =
    "? [a, {b: c}]\n: !!x &y \"\\x41\\0\\u2028\"\n<<: *y\n%TAG ! a:\n---\n...\n\t'";

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(small),
    { large, sizeof(large) - 1 },
    FUZZ_SEED(odd),
    { NULL, 0 },
};

#define W(text) FUZZ_SEED(text)
const struct fuzz_seed fuzz_words[] = {
    W(": "),
    W("- "),
    W("{"),
    W("}"),
    W("["),
    W("]"),
    W("\n  "),
    W("---\n"),
    W("&a "),
    W("*a"),
    W("\"\\0\""),
    W("\xff"),
    W("\xc3"),
    W("~"),
    W("null"),
    W("99999999999999999999"),
    W("16384P"),
    W("0"),
    W("-1"),
    W("session"),
    W("luns"),
    W("options"),
    W("initiators"),
    W("serial"),
    W("targets"),
    W("naa."),
    W("IQN.2026-11.org.example:disk1"),
    W("portals"),
    W("listen"),
    W("[::]:3260"),
    W("0.0.0.0"),
    W("\xe2\x80\xae"),
    W("\xef\xb7\xba"),
    { NULL, 0 },
};

/* The source of the text is hostile; what is promised to those who read the result is not checked
 * again by them. */
static void check_promises(const struct config *c)
{
    g_assert_nonnull(c->daemon.plugin_path);
    g_assert_nonnull(c->daemon.state_directory);
    for (unsigned i = 0; i < c->portal_count; i++) {
        g_assert_cmpuint(c->portals[i].listen_count, >, 0);
        g_assert_cmpuint(c->portals[i].tag, >, 0);
    }
    for (unsigned i = 0; i < c->target_count; i++) {
        const struct config_target *t = c->targets[i];
        char name[ISCSI_NAME_MAX + 1];
        const char *problem;
        g_assert_cmpint(iscsi_name_normalise(t->name, name, &problem), ==, 0);
        g_assert_cmpstr(name, ==, t->name);
        g_assert_true(config_find_target(c, name) == t);
        g_assert_cmpuint(t->portal_count, >, 0);
        g_assert_cmpuint(t->session.first_burst_length, <=, t->session.max_burst_length);
        g_assert_cmpuint(t->session.header_digest, >, 0);
        g_assert_cmpuint(t->session.command_window, >, 0);
        for (unsigned j = 0; j < t->lun_count; j++) {
            g_assert_nonnull(t->luns[j].handler);
            g_assert_null(strchr(t->luns[j].handler, '/'));
            g_assert_true(j == 0 || t->luns[j].number > t->luns[j - 1].number);
            g_assert_cmpuint(t->luns[j].number, <=, CONFIG_LUN_MAX);
        }
    }
}

static void check_messages(struct config_problems *problems)
{
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_assert_true(g_utf8_validate(line, -1, NULL));
        g_assert_null(strpbrk(line, "\n\r\x1b"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    int r = config_parse((const char *)data, size, "f", &config, problems);
    g_assert_cmpint(r<0, ==, config_problems_errors(problems)> 0);
    g_assert_cmpint(r < 0, ==, config == NULL);
    if (config)
        check_promises(config);
    check_messages(problems);
    config_free(config);
    config_problems_free(problems);
    return 0;
}
