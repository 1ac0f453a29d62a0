/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfastctl: the words of the command line, the request they stand for, and what is shown of the
 * answer. Exit codes: 0 done, 1 refused (why is on standard error), 2 wrong usage, 3 no daemon; 4: `plan`
 * has found changes.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "config/scalar.h"
#include "ctl/keys.h"
#include "ctl/progress.h"
#include "ctl/rpc.h"
#include "ctl/show.h"
#include "ctl/top.h"
#include "ctl/upgrade.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 3, EXIT_CHANGES = 4 };

static const char usage[] =
    "usage: holdfastctl [--socket PATH] [--json] [--timeout SECONDS] VERB ...\n"
    "  status                         what runs, since when, and how it is doing\n"
    "  targets                        the targets\n"
    "  sessions [--advice] [TARGET]   who is logged in; what it agreed to, and how long it can "
    "wait\n"
    "  luns [TARGET]                  the disks, what they have done and how fast\n"
    "  portals                        where the daemon listens\n"
    "  session drop ID                end a session (its initiator will come back)\n"
    "  lun resize TARGET LUN SIZE     give a disk in use another size\n"
    "  lun set TARGET LUN KEY=VALUE...  a disk as these keys say: made, or changed\n"
    "  lun reopen TARGET LUN          open its storage anew while its commands wait\n"
    "  lun remove TARGET LUN          no such disk any more\n"
    "  target set TARGET [KEY=VALUE...] | target remove TARGET\n"
    "                                 the same for a target; the configuration file changes, too\n"
    "  log [LEVEL]                    show or set the log level: error warning notice info debug\n"
    "  metrics                        all numbers, as OpenMetrics text\n"
    "  top [--interval S] [--count N|--once]\n"
    "                                 sessions and disks at work, live\n"
    "  plan FILE                      what a reload of FILE would do; exit code 4: something\n"
    "  upgrade [--worker-only] [BINARY]\n"
    "                                 replace worker and keeper by the binary on disk, or by this "
    "one\n"
    "  fence raise|lower|show         keep initiators waiting; let them in again; which it is\n"
    "  progress                       what takes its time: drains, SANITIZE, copies\n"
    "  reload [--force] [--drain TIME [--wait]]\n"
    "                                 put the configuration file into effect; what is in use "
    "does\n"
    "                                 not go without one of the two\n"
    "holdfastctl --version | --help\n";

struct options {
    struct rpc rpc;
    bool json;
    struct top_options top;
    bool top_given; /* an option of top */
    bool force;
    const char *drain; /* NULL: not given */
    bool wait;         /* until what is drained is gone */
    bool advice;
    bool worker_only;
};

/* A parameter of a method, from a word of the command line. */
enum word_type {
    WORD_TEXT,
    WORD_FILE /* sent along, too */,
    WORD_KEYS /* all that follow */,
    WORD_NUMBER,
    WORD_SIZE,
    WORD_LEVEL
};

struct word {
    const char *name;
    enum word_type type;
    bool optional;
};

#define WORDS_MAX 3

struct command {
    const char *verb, *second;                    /* "session", "drop" */
    const char *method;                           /* NULL: a verb that is more than one question */
    void (*show)(JsonNode *result, GString *out); /* NULL: nothing to show */
    bool repeatable;
    struct word words[WORDS_MAX];
    unsigned options; /* that it takes, beside those of all */
};

#define CHANGE_OPTIONS 1u /* --force, --drain */

static const struct command commands[] = {
    { "status", NULL, "status", show_status, true, { { 0 } } },
    { "targets", NULL, "targets", show_targets, true, { { 0 } } },
    { "sessions", NULL, "sessions", show_sessions, true, { { "target", WORD_TEXT, true } } },
    { "luns", NULL, "luns", show_luns, true, { { "target", WORD_TEXT, true } } },
    { "portals", NULL, "portals", show_portals, true, { { 0 } } },
    { "progress", NULL, "progress", show_progress, true, { { 0 } } },
    { "metrics", NULL, "metrics", show_metrics, true, { { 0 } } },
    { "session", "drop", "session.drop", show_drop, false, { { "id", WORD_NUMBER, false } } },
    { "lun",
      "resize",
      "lun.resize",
      show_resize,
      false,
      { { "target", WORD_TEXT, false },
        { "lun", WORD_NUMBER, false },
        { "size", WORD_SIZE, false } } },
    { "lun",
      "set",
      "lun.set",
      show_plan,
      false,
      { { "target", WORD_TEXT, false },
        { "lun", WORD_NUMBER, false },
        { "keys", WORD_KEYS, true } },
      CHANGE_OPTIONS },
    { "lun",
      "reopen",
      "lun.reopen",
      show_plan,
      false,
      { { "target", WORD_TEXT, false }, { "lun", WORD_NUMBER, false } },
      CHANGE_OPTIONS },
    { "lun",
      "remove",
      "lun.remove",
      show_plan,
      false,
      { { "target", WORD_TEXT, false }, { "lun", WORD_NUMBER, false } },
      CHANGE_OPTIONS },
    { "target",
      "set",
      "target.set",
      show_plan,
      false,
      { { "target", WORD_TEXT, false }, { "keys", WORD_KEYS, true } },
      CHANGE_OPTIONS },
    { "target",
      "remove",
      "target.remove",
      show_plan,
      false,
      { { "target", WORD_TEXT, false } },
      CHANGE_OPTIONS },
    { "log", NULL, "log.level", show_log_level, true, { { "level", WORD_LEVEL, true } } },
    { "plan", NULL, "plan", show_plan, true, { { "file", WORD_FILE, false } } },
    { "reload", NULL, "reload", show_plan, false, { { 0 } }, CHANGE_OPTIONS },
    { "upgrade", NULL, NULL, NULL, false, { { 0 } } }, /* upgrade.c */
    { "fence", "raise", "fence.raise", show_fence, true, { { 0 } } },
    { "fence", "lower", "fence.lower", show_fence, true, { { 0 } } },
    { "fence", "show", "fence.show", show_fence, true, { { 0 } } },
};

/* ---- words ---- */

/* What moves the cursor of a terminal may be in a word that a message repeats. */
static void complain(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) out = g_string_new("holdfastctl: ");
    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(out, c == '\n' || g_unichar_isprint(c) ? c : '?');
    }
    fprintf(stderr, "%s\n", out->str);
}

G_GNUC_PRINTF(1, 2) static int wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    complain(text);
    fputs("Try 'holdfastctl --help'.\n", stderr);
    return EXIT_USAGE;
}

static int unknown_verb(const char *verb)
{
    const char *names[G_N_ELEMENTS(commands) + 2];
    unsigned n = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        names[n++] = commands[i].verb;
    names[n++] = "top";
    names[n] = NULL;
    g_autofree char *hint = strlen(verb) < 64 ? config_did_you_mean(verb, names) : g_strdup("");
    return wrong("unknown verb '%s'%s", verb, hint);
}

/* The command of the first words; *ret_used of them. EXIT_USAGE after a line. */
static int find_command(char **words, int count, const struct command **ret_command, int *ret_used)
{
    GString *seconds = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->verb, words[0]) != 0)
            continue;
        if (!c->second || (count > 1 && !strcmp(c->second, words[1]))) {
            *ret_command = c;
            *ret_used = c->second ? 2 : 1;
            g_string_free(seconds, TRUE);
            return 0;
        }
        g_string_append_printf(seconds, "%s%s", seconds->len ? "|" : "", c->second);
    }
    int r = !seconds->len ? unknown_verb(words[0])
            : count > 1
                ? wrong("%s: unknown word '%s' (it is %s)", words[0], words[1], seconds->str)
                : wrong("%s needs a word: %s", words[0], seconds->str);
    g_string_free(seconds, TRUE);
    return r;
}

static int put_word(struct json_writer *w, const struct word *word, const char *text)
{
    uint64_t number;
    enum log_level level;
    switch (word->type) {
    case WORD_NUMBER:
        if (config_text_unsigned(text, &number) < 0 || number > INT64_MAX)
            return wrong("'%s' is not a number", text);
        json_put_u64(w, word->name, number);
        return 0;
    case WORD_SIZE:
        if (config_text_size(text, &number) < 0 || number > INT64_MAX)
            return wrong("'%s' is not a size (as 4096, 64K, 20G)", text);
        json_put_u64(w, word->name, number);
        return 0;
    case WORD_LEVEL:
        if (log_level_parse(text, &level) < 0)
            return wrong("'%s' is not a level (error, warning, notice, info, debug)", text);
        break;
    case WORD_KEYS: /* taken before */
    case WORD_FILE:
    case WORD_TEXT:
        if (!g_utf8_validate(text, -1, NULL))
            return wrong("an argument is not UTF-8");
        break;
    }
    json_put_string(w, word->name, text);
    return 0;
}

/* The parameters as a JSON object in `out`. 0, or EXIT_USAGE after a line. */
static int take_words(const struct options *o, const struct command *c, char **words, int count,
                      GString *out)
{
    struct json_writer w = { .out = out };
    int at = 0;
    json_put_open(&w, NULL, '{');
    for (unsigned i = 0; i < WORDS_MAX && c->words[i].name; i++) {
        const struct word *word = &c->words[i];
        if (at == count && word->optional)
            break;
        if (word->type == WORD_KEYS) {
            g_autofree char *why = keys_put(&w, !strcmp(c->verb, "lun"), words + at, count - at);
            if (why)
                return wrong("%s set: %s", c->verb, why);
            at = count;
            break;
        }
        if (at == count)
            return wrong("%s%s%s: the %s is missing", c->verb, c->second ? " " : "",
                         c->second ? c->second : "", word->name);
        int r = put_word(&w, word, words[at++]);
        if (r)
            return r;
    }
    if ((o->force || o->drain || o->wait) && !(c->options & CHANGE_OPTIONS))
        return wrong("%s takes neither --force nor --drain nor --wait", c->verb);
    if (o->force)
        json_put_bool(&w, "force", true);
    if (o->drain)
        json_put_string(&w, "drain", o->drain);
    json_put_close(&w, '}');
    return at < count ? wrong("'%s' is one word too many", words[at]) : 0;
}

/* ---- running ---- */

static void print_json(JsonNode *result)
{
    g_autofree char *text = json_to_string(result, TRUE);
    printf("%s\n", text);
}

static int exit_code(enum rpc_outcome outcome, const char *why)
{
    if (outcome == RPC_DONE)
        return EXIT_DONE;
    complain(why);
    return outcome == RPC_REFUSED ? EXIT_REFUSED : EXIT_NO_DAEMON;
}

/* What was to be shown has got there; else that is a failure, too. */
static int written(int code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (failed)
        fprintf(stderr, "holdfastctl: standard output: %s\n",
                errno ? g_strerror(errno) : "it could not be written");
    return failed && code != EXIT_NO_DAEMON ? EXIT_REFUSED : code;
}

static int run(const struct options *o, const struct command *c, const char *params,
               const char *file)
{
    struct rpc_call call = { .method = c->method,
                             .params = strcmp(params, "{}") ? params : NULL,
                             .repeatable = c->repeatable,
                             .file = file };
    bool changes;
    uint64_t upgrade;
    g_autofree char *why = NULL;
    JsonNode *result = NULL;
    enum rpc_outcome outcome = rpc_call(&o->rpc, &call, &result, &why);
    if (outcome != RPC_DONE)
        return exit_code(outcome, why);
    if (o->json) {
        print_json(result);
    } else if (o->advice) {
        g_autoptr(GString) out = g_string_new(NULL);
        show_advice(result, out);
        fputs(out->str, stdout);
    } else if (c->show) {
        g_autoptr(GString) out = g_string_new(NULL);
        c->show(result, out);
        fputs(out->str, stdout);
    }
    changes = !strcmp(c->method, "plan") && plan_steps(result) > 0;
    upgrade = c->show == show_plan ? plan_upgrade(result) : 0;
    json_node_unref(result);
    outcome = upgrade ? upgrade_wait(&o->rpc, upgrade, o->json, &why) : RPC_DONE;
    if (outcome == RPC_DONE && (o->wait || (o->drain && !o->json && isatty(STDOUT_FILENO))))
        outcome = progress_wait(&o->rpc, o->json, &why);
    if (outcome != RPC_DONE)
        return exit_code(outcome, why);
    return written(changes ? EXIT_CHANGES : EXIT_DONE);
}

static int run_top(struct options *o)
{
    g_autofree char *why = NULL;
    o->top.json = o->json;
    enum rpc_outcome outcome = top_run(&o->rpc, &o->top, &why);
    return written(exit_code(outcome, why));
}

static int run_upgrade(const struct options *o, char **words, int count)
{
    g_autofree char *why = NULL;
    if (count > 1)
        return wrong("'%s' is one word too many", words[1]);
    if (count && !g_utf8_validate(words[0], -1, NULL))
        return wrong("an argument is not UTF-8");
    enum rpc_outcome outcome =
        upgrade_run(&o->rpc, count ? words[0] : NULL, o->worker_only, o->json, &why);
    return written(exit_code(outcome, why));
}

/* ---- options ---- */

enum {
    OPTION_SOCKET = 1,
    OPTION_JSON,
    OPTION_TIMEOUT,
    OPTION_INTERVAL,
    OPTION_COUNT,
    OPTION_ONCE,
    OPTION_FORCE,
    OPTION_DRAIN,
    OPTION_WAIT,
    OPTION_ADVICE,
    OPTION_WORKER_ONLY,
    OPTION_VERSION
};

/* Seconds, with a fraction if need be. */
static bool take_seconds(const char *text, double min, double max, double *ret_seconds)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);
    if (*end || end == text || !(seconds >= min) || !(seconds <= max))
        return false;
    *ret_seconds = seconds;
    return true;
}

static int take_option(struct options *o, int option)
{
    uint64_t number;
    double seconds;
    switch (option) {
    case OPTION_SOCKET:
        o->rpc.socket = optarg;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case OPTION_TIMEOUT:
        if (!take_seconds(optarg, 0.1, 86400, &seconds))
            return wrong("--timeout: '%s' is not between 0.1 and 86400 seconds", optarg);
        o->rpc.timeout_ms = (unsigned)(seconds * 1000);
        return 0;
    case OPTION_FORCE:
        o->force = true;
        return 0;
    case OPTION_WAIT:
        o->wait = true;
        return 0;
    case OPTION_DRAIN:
        if (config_text_duration(optarg, &number) < 0)
            return wrong("--drain: '%s' is not a time (as 30s, 5m)", optarg);
        o->drain = optarg;
        return 0;
    case OPTION_INTERVAL:
        if (!take_seconds(optarg, 0.1, 3600, &seconds))
            return wrong("--interval: '%s' is not between 0.1 and 3600 seconds", optarg);
        o->top.interval_ms = (unsigned)(seconds * 1000);
        o->top_given = true;
        return 0;
    case OPTION_COUNT:
        if (config_text_unsigned(optarg, &number) < 0 || !number || number > 1000000000)
            return wrong("--count: '%s' is not a number from 1 on", optarg);
        o->top.count = (unsigned)number;
        o->top_given = true;
        return 0;
    case OPTION_ONCE:
        o->top.count = 1;
        o->top_given = true;
        return 0;
    case OPTION_WORKER_ONLY:
        o->worker_only = true;
        return 0;
    case OPTION_ADVICE:
        o->advice = true;
        return 0;
    default:
        fputs("Try 'holdfastctl --help'.\n", stderr);
        return EXIT_USAGE;
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        { "socket", required_argument, NULL, OPTION_SOCKET },
        { "json", no_argument, NULL, OPTION_JSON },
        { "timeout", required_argument, NULL, OPTION_TIMEOUT },
        { "interval", required_argument, NULL, OPTION_INTERVAL },
        { "count", required_argument, NULL, OPTION_COUNT },
        { "once", no_argument, NULL, OPTION_ONCE },
        { "force", no_argument, NULL, OPTION_FORCE },
        { "drain", required_argument, NULL, OPTION_DRAIN },
        { "wait", no_argument, NULL, OPTION_WAIT },
        { "worker-only", no_argument, NULL, OPTION_WORKER_ONLY },
        { "advice", no_argument, NULL, OPTION_ADVICE },
        { "version", no_argument, NULL, OPTION_VERSION },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct options o = { .rpc = { RPC_DEFAULT_SOCKET, RPC_DEFAULT_TIMEOUT_MS },
                         .top = { .interval_ms = 1000 } };
    int option, used = 0, r;

    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        if (option == OPTION_VERSION || option == 'h') {
            fputs(option == 'h' ? usage : "holdfastctl " HOLDFAST_VERSION "\n", stdout);
            return EXIT_DONE;
        }
        r = take_option(&o, option);
        if (r)
            return r;
    }
    char **words = argv + optind;
    int count = argc - optind;
    if (!count) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    bool top = !strcmp(words[0], "top");
    if (o.advice && top)
        return wrong("--advice is for sessions");
    if (o.worker_only && top)
        return wrong("--worker-only is for upgrade");
    if ((o.force || o.drain || o.wait) && (top || !strcmp(words[0], "upgrade")))
        return wrong("%s takes neither --force nor --drain nor --wait", words[0]);
    if (o.top_given && !top)
        return wrong("--interval, --count and --once are for top");
    if (top)
        return count > 1 ? wrong("'%s' is one word too many", words[1]) : run_top(&o);
    const struct command *command = NULL;
    r = find_command(words, count, &command, &used);
    if (r)
        return r;
    if (o.advice && (command->show != show_sessions || o.json))
        return wrong("--advice is for sessions, and for people (not with --json)");
    if (o.worker_only && command->method)
        return wrong("--worker-only is for upgrade");
    if (!command->method)
        return run_upgrade(&o, words + used, count - used);
    g_autoptr(GString) params = g_string_new(NULL);
    r = take_words(&o, command, words + used, count - used, params);
    return r ? r
             : run(&o, command, params->str,
                   command->words[0].type == WORD_FILE ? words[used] : NULL);
}
