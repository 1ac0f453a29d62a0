/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes on the control socket, in pieces whose lengths the bytes decide, with a real login reactor
 * behind it and nothing configured. Whatever comes back is whole lines, each a JSON-RPC answer.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "control/server.h"
#include "fuzz.h"
#include "iscsi/session.h"
#include "iscsi/state.h"
#include "reload/plan.h"

#define CALL(method, params)                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}\n"
#define IQN "iqn.2026-11.org.example:a"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(CALL("status", "{}") CALL("targets", "{}") CALL("portals", "{}")),
    FUZZ_SEED(CALL("sessions", "{\"target\":\"" IQN "\"}") CALL("luns", "{}") CALL("top", "{}")),
    FUZZ_SEED(CALL("metrics", "{}") CALL("session.drop", "{\"id\":5}")),
    FUZZ_SEED(CALL("lun.resize", "{\"target\":\"" IQN "\",\"lun\":0,\"size\":\"20G\"}")),
    FUZZ_SEED(CALL("lun.resize", "{\"target\":\"" IQN "\",\"lun\":0,\"size\":4096}")),
    FUZZ_SEED(CALL("log.level", "{\"level\":\"error\"}") CALL("reload", "{}")
                  CALL("plan", "{\"file\":\"x\"}")),
    FUZZ_SEED(
        CALL("lun.set", "{\"target\":\"" IQN
                        "\",\"lun\":3,\"keys\":{\"handler\":\"ram\",\"options.size\":\"4M\"}}")
            CALL("lun.remove", "{\"target\":\"" IQN "\",\"lun\":0}")),
    FUZZ_SEED(
        CALL("target.set",
             "{\"target\":\"" IQN "\",\"keys\":{\"initiators\":[\"a\",\"b\"],\"alias\":null}}")
            CALL("target.remove", "{\"target\":\"" IQN "\",\"force\":true,\"drain\":\"30s\"}")),
    FUZZ_SEED("{\"jsonrpc\":\"2.0\",\"method\":\"status\"}\r\n\n \n[{}]\n{}\nnull\n{\"id\":{}}\n"),
    FUZZ_SEED("{\"jsonrpc\":\"2.0\",\"id\":\"\\u00fc\\\"\",\"method\":\"stauts\"}\n"
              "{\"jsonrpc\":\"2.0\",\"id\":1e300,\"method\":\"status\",\"x\":[[[[[[[]]]]]]]}\n"),
    { NULL, 0 },
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED("\n"),
    FUZZ_SEED("{"),
    FUZZ_SEED("}"),
    FUZZ_SEED("["),
    FUZZ_SEED("]"),
    FUZZ_SEED("\""),
    FUZZ_SEED("\\"),
    FUZZ_SEED("\\u0000"),
    FUZZ_SEED("\\ud800"),
    FUZZ_SEED("null"),
    FUZZ_SEED("true"),
    FUZZ_SEED("-1"),
    FUZZ_SEED("1.5"),
    FUZZ_SEED("99999999999999999999"),
    FUZZ_SEED("[[[[[[[["),
    FUZZ_SEED("\"method\":"),
    FUZZ_SEED("\"params\":"),
    FUZZ_SEED("\"id\":"),
    FUZZ_SEED("\"size\":"),
    FUZZ_SEED("/*"),
    FUZZ_SEED("\xff"),
    FUZZ_SEED("\x00"),
    { NULL, 0 },
};

static struct config *config;
static struct control *control;

static const struct config *get_config(void *user)
{
    return config;
}

static bool get_stopping(void *user)
{
    return false;
}

static unsigned get_target_count(void *user)
{
    return config->target_count;
}

static void get_target(void *user, unsigned target, struct control_target *ret_target)
{
    *ret_target = (struct control_target){ .config = config->targets[target] };
}

static void get_lun(void *user, unsigned target, unsigned lun, struct control_lun *ret_lun)
{
    *ret_lun = (struct control_lun){ .config = &config->targets[target]->luns[lun] };
}

static void ask_keeper(void *user)
{
    struct control_keeper keeper = { .generation = 1, .how = "signal 9 (Killed)" };
    control_keeper_answer(control, &keeper);
}

static void resize(void *user, unsigned target, unsigned lun, uint64_t bytes,
                   void (*done)(void *data, const char *why, const struct config_node *stale),
                   void *data)
{
    done(data, bytes % 2 ? "odd" : NULL, config->targets[target]->node);
}

static const char text[] =
    "version: 1\nportals: { p: { listen: [\"127.0.0.1:1\"] } }\ntargets:\n  " IQN
    ": { luns: { 0: { handler: ram } } }\n  " IQN "2: { luns: {} }\n";

static const char *get_text(void *user, size_t *ret_length)
{
    *ret_length = sizeof(text) - 1;
    return text;
}

static void reload(void *user, const struct control_reload *how, control_reload_fn *done,
                   void *data)
{
    struct config_problems *problems = config_problems_new();
    struct plan *plan = NULL;
    g_assert_cmpint(plan_make(config, config, &plan, problems), ==, 0);
    done(data, plan, how->drain_ms ? 7 : 0, how->force ? "refused" : NULL);
    plan_free(plan);
    config_problems_free(problems);
}

static int slice(void *user, const char *target, struct config_slice *ret_slice)
{
    return config_slice_cut(config, text, sizeof(text) - 1, target, ret_slice);
}

static void revise(void *user, const struct config_slice *cut, const char *edited, size_t length,
                   const char *target, const struct control_reload *how, control_reload_fn *done,
                   void *data)
{
    struct config_revision *revision = NULL;
    if (config_revision_new(config, cut, edited, length, target, &revision) == 0)
        config_revision_free(revision);
    reload(user, how, done, data);
}

static void draining(void *user, void (*each)(void *data, const struct control_draining *what),
                     void *data)
{
    each(data, &(struct control_draining){ .target = "iqn.x:a", .whole = true });
    each(data, &(struct control_draining){ .target = "iqn.x:a", .lun = 3, .commands = 2 });
}

static void closed(void *user, uint32_t slot)
{
}

/* An engine without sessions has its place in the state memory all the same. */
static void map_state(void)
{
    uint64_t bytes = state_bytes(1, 1);
    g_assert_cmpint(arena_map(ARENA_STATE, arena_create_fd("state", bytes), bytes), ==, 0);
    *(struct state_head *)arena_table[ARENA_STATE].base = (struct state_head){
        .magic = STATE_MAGIC, .version = STATE_VERSION, .sessions = 1, .connections = 1
    };
}

static void set_up(void)
{
    static struct engine engine, *list[] = { &engine };
    struct config_problems *problems = config_problems_new();
    struct reactor *reactor;
    struct reactor_options options = { .name = "login", .cpu = -1, .tombstone_fd = -1 };
    struct registry *registry;
    struct acceptor *acceptor;
    log_set_level(LOG_LEVEL_ERROR);
    g_assert_cmpint(config_parse(text, strlen(text), "f", &config, problems), ==, 0);
    config_problems_free(problems);
    g_assert_cmpint(reactor_create(&options, &reactor), ==, 0);
    map_state();
    engine_init(&engine, reactor);
    struct registry_options registry_options = {
        .login = &engine, .data = list, .data_count = 1, .sessions = 1, .connections = 1
    };
    g_assert_cmpint(registry_create(&registry_options, &registry), ==, 0);
    struct acceptor_options acceptor_options = {
        .login = &engine, .registry = registry, .sessions = 1, .connections = 1, .closed = closed
    };
    g_assert_cmpint(acceptor_create(&acceptor_options, &acceptor), ==, 0);
    g_assert_cmpint(reactor_start(reactor), ==, 0);
    static const struct control_take_over take_over;
    struct control_services services = {
        .take_over = &take_over,
        .engines = list,
        .engine_count = 1,
        .registry = registry,
        .acceptor = acceptor,
        .config = get_config,
        .text = get_text,
        .reload = reload,
        .slice = slice,
        .revise = revise,
        .draining = draining,
        .stopping = get_stopping,
        .target_count = get_target_count,
        .target = get_target,
        .lun = get_lun,
        .ask_keeper = ask_keeper,
        .resize = resize,
    };
    g_assert_cmpint(control_create(&services, -1, &control), ==, 0);
    control->snapshots.pause_min_ms = 0; /* nothing to be spared here */
}

static void check_lines(const GString *out)
{
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", -1);
    for (char **line = lines; line[0] && line[1]; line++) {
        g_assert_true(json_text_is_sane(*line, strlen(*line), 16));
        g_autoptr(JsonNode) node = json_from_string(*line, NULL);
        if (!node)
            g_test_message("not JSON: %s", *line);
        JsonObject *answer = node ? json_node_get_object(node) : NULL;
        g_assert_nonnull(answer);
        g_assert_cmpstr(json_object_get_string_member(answer, "jsonrpc"), ==, "2.0");
        g_assert_true(json_object_has_member(answer, "result") !=
                      json_object_has_member(answer, "error"));
    }
    g_assert_true(out->len == 0 || out->str[out->len - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd[2];
    bool sending = true;
    g_autoptr(GString) out = g_string_new(NULL);
    char piece[4096];
    if (!control)
        set_up();
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), ==, 0);
    client_new(control, fd[0]);
    for (size_t sent = 0;;) {
        size_t most = sent < size ? MIN(size - sent, (size_t)(1 + data[sent] * 8)) : 0;
        ssize_t n = most ? send(fd[1], data + sent, most, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        if (sending && (sent == size || (n < 0 && errno == EPIPE))) {
            shutdown(fd[1], SHUT_WR);
            sending = false;
        }
        g_main_context_iteration(NULL, !sending || n < 0);
        while ((n = recv(fd[1], piece, sizeof(piece), 0)) > 0)
            g_string_append_len(out, piece, n);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
    }
    close(fd[1]);
    check_lines(out);
    return 0;
}
