/* SPDX-License-Identifier: BSD-3-Clause */
/* Good files: what ends up in the configuration. */
#include <string.h>

#include "base/clock.h"
#include "config/model.h"
#include "config/scalar.h"
#include "expect.h"

/* Warnings, if any, are compared with `expected`. */
static struct config *parse_with(const char *text, const char *expected)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    int r = config_parse(text, strlen(text), "f", &config, problems);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==, expected);
    g_assert_cmpint(r, ==, 0);
    return config;
}

static struct config *parse(const char *text)
{
    return parse_with(text, "");
}

static const char architecture_example[] =
    "version: 1\n"
    "daemon:                          # all optional\n"
    "  reactors: auto\n"
    "  state-directory: /var/lib/holdfast\n"
    "  control-socket: /run/holdfast/control.sock\n"
    "  plugin-path: [/usr/local/lib/holdfast]\n"
    "  user: holdfast\n"
    "portals:\n"
    "  san: { listen: [\"0.0.0.0:3260\", \"[::]:3260\"], tag: 1 }\n"
    "fence: { plugin: nftables, options: {} }\n"
    "auth:\n"
    "  lab:\n"
    "    plugin: chap\n"
    "    options:\n"
    "      users: [ { name: host1, secret-file: /etc/holdfast/host1.secret } ]\n"
    "      mutual: { name: target, secret-file: /etc/holdfast/target.secret }\n"
    "targets:\n"
    "  iqn.2026-11.org.example:disk1:\n"
    "    alias: build machines\n"
    "    portals: [san]\n"
    "    auth: lab                             # none when left out\n"
    "    initiators: [\"iqn.1993-08.org.debian:01:*\"]\n"
    "    views:\n"
    "      node7: { initiators: [\"*:Node7\", 192.0.2.0/24], luns: { 4: 0, 300: 1 } }\n"
    "      none: { initiators: \"*:nobody\", luns: {} }\n"
    "    session: { max-connections: 1, first-burst-length: 256K, max-burst-length: 1M,"
    " header-digest: [none, crc32c] }\n"
    "    luns:\n"
    "      0: { handler: file, options: { path: /srv/disk1.img, size: 20G }, serial: a1b2c3d4,"
    " read-only: no }\n"
    "      1: { handler: ram, options: { size: 512M }, initiators: [\"*:node7\"] }\n";

static void check_target(const struct config *c)
{
    const struct config_target *t = config_find_target(c, "iqn.2026-11.org.example:disk1");
    g_assert_nonnull(t);
    g_assert_cmpstr(t->alias, ==, "build machines");
    g_assert_cmpuint(t->portal_count, ==, 1);
    g_assert_true(t->portals[0] == &c->portals[0]);
    g_assert_true(t->auth == &c->auths[0]);
    g_assert_cmpuint(config_node_line(t->key_node), ==, 18);
    g_assert_true(config_glob_any(t->initiators, "iqn.1993-08.org.debian:01:abc"));
    g_assert_false(config_glob_any(t->initiators, "iqn.1993-08.org.debian:02:abc"));

    g_assert_cmpuint(t->lun_count, ==, 2);
    const struct config_lun *zero = config_find_lun(t, 0), *one = config_find_lun(t, 1);
    g_assert_cmpstr(zero->handler, ==, "file");
    g_assert_cmpuint(config_node_line(zero->handler_node), ==, 28);
    g_assert_cmpstr(zero->serial, ==, "a1b2c3d4");
    g_assert_null(zero->initiators);
    g_assert_cmpstr(config_node_get(zero->options, "size")->text, ==, "20G");
    g_assert_cmpuint(config_node_get(zero->options, "size")->column, ==, 66);
    g_assert_cmpstr(one->handler, ==, "ram");
    g_assert_null(one->serial);
    g_assert_cmpuint(t->view_count, ==, 2);
    g_assert_cmpstr(t->views[0].name, ==, "node7");
    g_assert_cmpstr(t->views[0].initiators[1], ==, "192.0.2.0/24");
    g_assert_cmpuint(t->views[0].lun_count, ==, 2);
    g_assert_cmpuint(t->views[0].luns[1].number, ==, 300);
    g_assert_cmpuint(t->views[0].luns[1].lun, ==, 1);
    g_assert_cmpuint(t->views[1].lun_count, ==, 0);
    g_assert_cmpstr(one->initiators[0], ==, "*:node7");
    g_assert_null(one->initiators[1]);
    g_assert_null(config_find_lun(t, 2));
}

static void the_example_of_the_contract_is_read(void)
{
    struct config *c = parse(architecture_example);
    g_assert_cmpstr(c->file, ==, "f");
    g_assert_cmpuint(c->daemon.reactors, ==, 0);
    g_assert_cmpstr(c->daemon.plugin_path[0], ==, "/usr/local/lib/holdfast");
    g_assert_null(c->daemon.plugin_path[1]);
    g_assert_cmpstr(c->daemon.user, ==, "holdfast");
    g_assert_cmpuint(c->portal_count, ==, 1);
    g_assert_cmpstr(c->portals[0].name, ==, "san");
    g_assert_cmpuint(c->portals[0].listen_count, ==, 2);
    g_assert_cmpint(c->portals[0].listen[1].address.any.sa_family, ==, AF_INET6);
    g_assert_cmpuint(c->portals[0].listen[1].node->column, ==, 35);
    g_assert_cmpuint(c->portals[0].tag, ==, 1);
    g_assert_cmpstr(c->fence.plugin, ==, "nftables");
    g_assert_cmpstr(c->auths[0].plugin, ==, "chap");
    g_assert_cmpuint(config_node_line(c->auths[0].plugin_node), ==, 13);
    g_assert_cmpuint(config_node_get(c->auths[0].options, "users")->count, ==, 1);
    check_target(c);
    config_free(c);
}

static void defaults_are_filled_in(void)
{
    struct config *c = parse("version: 1\n"
                             "portals: { b: { listen: 10.0.0.1 }, a: { listen: 10.0.0.2 } }\n"
                             "targets: { iqn.2026-11.org.example:t: { luns: { 5: { handler: null } "
                             "} } }\n"); /* the handler of that name */
    const struct config_daemon *d = &c->daemon;
    g_assert_null(d->node);
    g_assert_cmpuint(d->reactors, ==, 0);
    g_assert_cmpuint(d->busy_poll_ns, ==, 0);
    g_assert_cmpstr(d->state_directory, ==, "/var/lib/holdfast");
    g_assert_cmpstr(d->control_socket, ==, "/run/holdfast/control.sock");
    g_assert_null(d->plugin_path[0]);
    g_assert_null(d->user);
    g_assert_cmpint(d->log_level, ==, LOG_LEVEL_INFO);
    g_assert_cmpuint(d->login_timeout_ns, ==, 15 * NS_PER_S);
    g_assert_cmpuint(d->max_connections, ==, 16384);
    g_assert_cmpuint(d->max_connections_per_address, ==, 4096);
    g_assert_cmpuint(d->max_logins, ==, 8192);
    g_assert_cmpuint(d->login_concurrency, ==, 512);
    g_assert_cmpuint(d->listen_backlog, ==, 4096);
    g_assert_cmpuint(d->socket_receive_buffer, ==, 0);
    g_assert_cmpuint(d->buffer_memory_bytes, ==, 64 << 20);

    const struct config_target *t = c->targets[0];
    g_assert_cmpuint(t->portal_count, ==, 2); /* all, in the order of the file */
    g_assert_cmpstr(t->portals[0]->name, ==, "b");
    g_assert_null(t->auth);
    g_assert_null(t->initiators);
    g_assert_cmpstr(t->luns[0].handler, ==, "null");
    const struct config_session *s = &t->session;
    g_assert_null(s->node);
    g_assert_cmpuint(s->max_connections, ==, 1);
    g_assert_cmpuint(s->first_burst_length, ==, 256 << 10);
    g_assert_cmpuint(s->max_burst_length, ==, 1 << 20);
    g_assert_cmpuint(s->max_recv_data_segment_length, ==, 256 << 10);
    g_assert_cmpuint(s->max_outstanding_r2t, ==, 8);
    g_assert_false(s->initial_r2t);
    g_assert_true(s->immediate_data);
    g_assert_cmpuint(s->header_digest, ==, CONFIG_DIGEST_NONE | CONFIG_DIGEST_CRC32C);
    g_assert_cmpuint(s->data_digest, ==, CONFIG_DIGEST_NONE | CONFIG_DIGEST_CRC32C);
    g_assert_cmpuint(s->default_time2wait, ==, 2);
    g_assert_cmpuint(s->default_time2retain, ==, 20);
    g_assert_cmpuint(s->command_window, ==, 128);
    g_assert_cmpuint(s->nop_interval_ns, ==, 15 * NS_PER_S);
    g_assert_cmpuint(s->nop_timeout_ns, ==, 15 * NS_PER_S);
    config_free(c);
}

static void every_key_of_a_session_is_taken(void)
{
    struct config *c = parse(
        "version: 1\n"
        "daemon: { nop-interval: 40s, nop-timeout: 7s }\n"
        "portals: { p: { listen: 10.0.0.1 } }\n"
        "targets:\n"
        "  eui.0123456789ABCDEF:\n"
        "    session: { max-connections: 8, first-burst-length: 512, max-burst-length: 16777215,\n"
        "      max-recv-data-segment-length: 8K, max-outstanding-r2t: 64, initial-r2t: on,\n"
        "      immediate-data: off, header-digest: crc32c, data-digest: [none],\n"
        "      default-time2wait: 0, default-time2retain: 1h, command-window: 1024,\n"
        "      nop-interval: 0 }\n");
    const struct config_session *s = &config_find_target(c, "eui.0123456789abcdef")->session;
    g_assert_cmpuint(s->max_connections, ==, 8);
    g_assert_cmpuint(s->first_burst_length, ==, 512);
    g_assert_cmpuint(s->max_burst_length, ==, 16777215);
    g_assert_cmpuint(s->max_recv_data_segment_length, ==, 8192);
    g_assert_cmpuint(s->max_outstanding_r2t, ==, 64);
    g_assert_true(s->initial_r2t);
    g_assert_false(s->immediate_data);
    g_assert_cmpuint(s->header_digest, ==, CONFIG_DIGEST_CRC32C);
    g_assert_cmpuint(s->data_digest, ==, CONFIG_DIGEST_NONE);
    g_assert_cmpuint(s->default_time2wait, ==, 0);
    g_assert_cmpuint(s->default_time2retain, ==, 3600);
    g_assert_cmpuint(s->command_window, ==, 1024);
    g_assert_cmpuint(s->nop_interval_ns, ==, 0);           /* its own */
    g_assert_cmpuint(s->nop_timeout_ns, ==, 7 * NS_PER_S); /* the daemon's */
    config_free(c);
}

static void luns_have_identities_and_are_sorted(void)
{
    struct config *c =
        parse("version: 1\n"
              "portals: { p: { listen: 10.0.0.1 } }\n"
              "targets:\n"
              "  iqn.2026-11.org.example:t:\n"
              "    luns:\n"
              "      16383: { handler: my_own-1, naa: 0x60014059F0C1D2E3A4B5C6D7E8F90123 }\n"
              "      7: { handler: ram, eui: 0123456789abcdef01234567, vendor: ABCDEFGH,\n"
              "           product: exactly-sixteen-, revision: \"1.0 \", block-size: 4K }\n"
              "      0: { handler: ram, naa: 5001405000000001, eui: 0123456789abcdef,\n"
              "           read-only: true, rotational: yes, block-size: 512, removable: yes,\n"
              "           physical-block-size: 16K, max-compare-and-write: 1, sanitize-rate: 50M,\n"
              "           thresholds: { available: [10G, 1M], used: 80% },\n"
              "           options: }\n");
    const struct config_target *t = c->targets[0];
    g_assert_cmpuint(t->lun_count, ==, 3);
    const struct config_lun *l = t->luns;
    g_assert_cmpuint(l[0].number, ==, 0);
    g_assert_cmpuint(l[1].number, ==, 7);
    g_assert_cmpuint(l[2].number, ==, 16383);
    g_assert_cmpuint(l[0].naa_length, ==, 8);
    g_assert_cmphex(l[0].naa[0], ==, 0x50);
    g_assert_cmphex(l[0].naa[7], ==, 0x01);
    g_assert_cmpuint(l[0].eui_length, ==, 8);
    g_assert_true(l[0].read_only);
    g_assert_true(l[0].rotational);
    g_assert_cmpuint(l[0].block_size, ==, 512);
    g_assert_cmpuint(l[0].physical_block_size, ==, 16384);
    g_assert_cmpuint(l[0].max_compare_and_write, ==, 1);
    g_assert_true(l[0].removable);
    g_assert_cmpuint(l[0].sanitize_rate, ==, 50 << 20);
    g_assert_cmpuint(l[0].threshold_count, ==, 3);
    g_assert_cmpuint(l[0].thresholds[0].used_percent, ==, 80);
    g_assert_cmpuint(l[0].thresholds[0].available_bytes, ==, 0);
    g_assert_cmpuint(l[0].thresholds[1].used_percent, ==, 0);
    g_assert_cmpuint(l[0].thresholds[1].available_bytes, ==, 10ull << 30);
    g_assert_cmpuint(l[0].thresholds[2].available_bytes, ==, 1 << 20);
    g_assert_cmpuint(l[1].threshold_count, ==, 0);
    g_assert_cmpuint(l[1].sanitize_rate, ==, 0);
    g_assert_cmpuint(l[1].physical_block_size, ==, 0);
    g_assert_cmpuint(l[1].max_compare_and_write, ==, 255);
    g_assert_false(l[1].removable);
    g_assert_null(l[0].options);
    g_assert_cmpuint(l[1].naa_length, ==, 0);
    g_assert_cmpuint(l[1].eui_length, ==, 12);
    g_assert_cmphex(l[1].eui[11], ==, 0x67);
    g_assert_cmpstr(l[1].vendor, ==, "ABCDEFGH");
    g_assert_cmpstr(l[1].product, ==, "exactly-sixteen-");
    g_assert_cmpstr(l[1].revision, ==, "1.0 ");
    g_assert_cmpuint(l[1].block_size, ==, 4096);
    g_assert_false(l[1].read_only);
    g_assert_cmpuint(l[2].naa_length, ==, 16);
    g_assert_cmpuint(l[2].block_size, ==, 0);
    config_free(c);
}

static void names_and_patterns_are_compared_without_case(void)
{
    struct config *c =
        parse("version: 1\n"
              "portals: { p: { listen: 10.0.0.1 } }\n"
              "targets: { IQN.2026-11.ORG.Example:T: { initiators: \"IQN.*:Node?\" } }\n");
    const struct config_target *t = config_find_target(c, "iqn.2026-11.org.example:t");
    g_assert_nonnull(t);
    g_assert_null(config_find_target(c, "IQN.2026-11.ORG.Example:T"));
    g_assert_true(config_glob_any(t->initiators, "iqn.2026-11.org.example:node1"));
    config_free(c);
}

static void one_identity_twice_is_only_a_warning(void)
{
    struct config *c =
        parse_with("version: 1\n"
                   "portals: { p: { listen: 10.0.0.1 } }\n"
                   "targets:\n"
                   "  iqn.2026-11.org.example:a: { luns: { 0: { handler: ram, serial: x } } }\n"
                   "  iqn.2026-11.org.example:b: { luns: { 0: { handler: ram, serial: x } } }\n",
                   "f:5:67: warning: serial 'x' is used already at line 4 column 67; "
                   "initiators will take both LUNs for one disk\n");
    g_assert_cmpuint(c->target_count, ==, 2);
    config_free(c);
}

/* A thousand targets, and as many LUNs as one can have, are no problem. */
static void large_files_are_read(void)
{
    g_autoptr(GString) text =
        g_string_new("version: 1\nportals: { p: { listen: 10.0.0.1 } }\ntargets:\n");
    for (unsigned i = 0; i < 1000; i++)
        g_string_append_printf(
            text, "  iqn.2026-11.org.example:t%u: { luns: { 0: { handler: ram } } }\n", i);
    g_string_append(text, "  iqn.2026-11.org.example:many:\n    luns:\n");
    for (unsigned i = 0; i < CONFIG_LUNS_MAX; i++)
        g_string_append_printf(text, "      %u: { handler: ram, options: { size: 1G } }\n",
                               CONFIG_LUN_MAX - i);
    struct config *c = parse(text->str);
    g_assert_cmpuint(c->target_count, ==, 1001);
    g_assert_cmpuint(c->targets[1000]->luns[CONFIG_LUNS_MAX - 1].number, ==, CONFIG_LUN_MAX);
    config_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/model/the-example-of-the-contract-is-read",
                    the_example_of_the_contract_is_read);
    g_test_add_func("/config/model/defaults-are-filled-in", defaults_are_filled_in);
    g_test_add_func("/config/model/every-key-of-a-session-is-taken",
                    every_key_of_a_session_is_taken);
    g_test_add_func("/config/model/luns-have-identities-and-are-sorted",
                    luns_have_identities_and_are_sorted);
    g_test_add_func("/config/model/names-and-patterns-are-compared-without-case",
                    names_and_patterns_are_compared_without_case);
    g_test_add_func("/config/model/one-identity-twice-is-only-a-warning",
                    one_identity_twice_is_only_a_warning);
    g_test_add_func("/config/model/large-files-are-read", large_files_are_read);
    return g_test_run();
}
