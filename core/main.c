/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfastd: the arguments. Without one of the short-lived modes the process becomes the keeper; the
 * keeper starts this program again with the hidden `--worker` for the engine.
 *
 * Exit codes: 0 done, 1 refused (the reasons are on standard error), 2 wrong usage.
 */
#include "check.h"
#include "daemon.h"
#include "fence_helper.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "config/file.h"
#include "keeper/heritage.h"
#include "keeper/keeper.h"
#include "keeper/system.h"
#include "keeper/link.h"
#include "plugin/describe.h"
#include "plugin/trial.h"
#include "plugin_helper.h"
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

enum mode { MODE_KEEPER, MODE_CHECK, MODE_LIST, MODE_DESCRIBE, MODE_VERSION, MODE_HELP };

struct arguments {
    enum mode mode;
    unsigned modes; /* how many were asked for */
    const char *file;
    const char *plugin;
};

static const char usage[] =
    "usage: holdfastd -c FILE                     serve what FILE says, in the foreground\n"
    "       holdfastd --check -c FILE             check FILE and start nothing\n"
    "       holdfastd --list-plugins [-c FILE]    the plugins there are\n"
    "       holdfastd --describe PLUGIN [-c FILE] a plugin and its options\n"
    "       holdfastd --version | --help\n";

static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "check", no_argument, NULL, MODE_CHECK },
        { "list-plugins", no_argument, NULL, MODE_LIST },
        { "describe", required_argument, NULL, MODE_DESCRIBE },
        { "version", no_argument, NULL, MODE_VERSION },
        { "help", no_argument, NULL, MODE_HELP },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == '?')
            return -1;
        if (c == 'c' && a->file)
            return -1; /* there is one configuration */
        if (c == 'c') {
            a->file = optarg;
            continue;
        }
        a->mode = c == 'h' ? MODE_HELP : (enum mode)c;
        a->modes++;
        if (c == MODE_DESCRIBE)
            a->plugin = optarg;
    }
    if (a->mode == MODE_HELP || a->mode == MODE_VERSION)
        return 0;
    bool needs_file = a->mode == MODE_KEEPER || a->mode == MODE_CHECK;
    if (optind < argc || a->modes > 1 || (needs_file && a->file == NULL))
        return -1;
    return 0;
}

/* Loads a->file; `check`: looks at its plugins and at the system, too. Prints all problems. False: it is
   refused. */
static bool load(const struct arguments *a, bool check, struct config_file *ret_file)
{
    struct config_problems *problems = config_problems_new();
    struct config_file file = { 0 };
    int r = config_file_load(a->file, &file, problems);

    if (check && file.config != NULL && check_plugins(file.config, problems) < 0)
        r = -EINVAL;
    if (check && r == 0)
        system_check(file.config, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    if (r < 0) {
        config_file_free(&file);
        return false;
    }
    *ret_file = file;
    return true;
}

/* The text that the keeper before has last read or written, whatever lies in the file by now. */
static bool load_inherited(const char *name, const struct heritage *h, struct config_file *ret_file)
{
    struct config_problems *problems = config_problems_new();
    struct config_file file = { 0 };
    int r = lseek(h->text_fd, 0, SEEK_SET) < 0
                ? -errno
                : config_file_read_fd(h->text_fd, &file.text, &file.bytes);
    if (r == 0)
        r = config_parse(file.text, file.bytes, name, &file.config, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    if (r == 0)
        *ret_file = file;
    else
        config_file_free(&file);
    return r == 0;
}

static int run_keeper(const struct arguments *a)
{
    struct config_file file;

    log_set_role("keeper");
    int fd = heritage_announced();
    struct heritage *heritage = fd >= 0 ? heritage_read(fd) : NULL;
    if (heritage && !load_inherited(a->file, heritage, &file)) {
        adopt_go_back(&(struct keeper_args){ .file = a->file, .heritage = heritage });
        return EXIT_REFUSED;
    }
    if (!heritage && !load(a, /* check= */ false, &file))
        return EXIT_REFUSED;
    log_set_level(file.config->daemon.log_level);
    int r = file.config->daemon.sandbox ? privileges_keeper() : 0;
    if (r < 0)
        log_warning("keeper", "cannot give up privileges error=\"%s\"", strerror(-r));
    struct keeper_args args = { .config = file.config,
                                .text = file.text,
                                .text_bytes = file.bytes,
                                .file = a->file,
                                .heritage = heritage };
    int code = keeper_run(&args);
    heritage_free(heritage);
    config_file_free(&file);
    return code;
}

static int run_check(const struct arguments *a)
{
    struct config_file file;

    trial_begin();
    if (!load(a, /* check= */ true, &file))
        return EXIT_REFUSED;
    config_file_free(&file);
    return EXIT_DONE;
}

/* With a configuration, its plugin-path is searched, too. */
static int run_plugins(const struct arguments *a)
{
    struct config_file file = { 0 };

    trial_begin();
    if (a->file != NULL && !load(a, /* check= */ false, &file))
        return EXIT_REFUSED;
    const char *const *paths = file.config != NULL ? file.config->daemon.plugin_path : NULL;
    int r = a->mode == MODE_LIST ? plugin_list(paths, stdout, stderr)
                                 : plugin_describe(paths, a->plugin, stdout, stderr);
    config_file_free(&file);
    return r < 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* `--keeper-trial FILE`, from a keeper that is to become this binary (keeper/renew.c). */
static int run_keeper_trial(int argc, char **argv)
{
    struct config_file file;
    log_set_role("keeper");
    int fd = argc == 3 ? heritage_announced() : -1;
    struct heritage *heritage = fd >= 0 ? heritage_read(fd) : NULL;
    if (!heritage || !load_inherited(argv[2], heritage, &file)) {
        log_error("keeper", "tried: what the other one would pass on cannot be read");
        return EXIT_REFUSED;
    }
    const char *why = keeper_try(heritage, file.config);
    if (why)
        log_error("keeper", "tried: %s", why);
    config_file_free(&file);
    heritage_free(heritage);
    return why ? EXIT_REFUSED : EXIT_DONE;
}

/* `--worker GENERATION FILE`, from the keeper alone (keeper/worker.h). */
static int run_worker(int argc, char **argv)
{
    if (argc != 4)
        return EXIT_USAGE;
    bool spare = strcmp(argv[0], WORKER_SPARE_NAME) == 0;
    prctl(PR_SET_NAME, spare ? WORKER_SPARE_NAME : WORKER_NAME);
    crash_points_open();
    struct daemon_args args = {
        .link_fd = LINK_WORKER_FD_LINK,
        .tombstone_fd = LINK_WORKER_FD_TOMBSTONE,
        .config_fd = LINK_WORKER_FD_CONFIG,
        .config_file = argv[3],
        .generation = (unsigned)strtoul(argv[2], NULL, 10),
        .spare = spare,
        .again = strcmp(argv[0], WORKER_AGAIN_NAME) == 0,
    };
    return daemon_run(&args);
}

/* What was asked for is all on standard output, or the exit code tells. */
static int written(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "standard output: %s\n", strerror(errno));
    return EXIT_REFUSED;
}

/* A process that lives for one job leaves its memory to the kernel. */
static _Noreturn void exit_at_once(int code)
{
    fflush(NULL);
    _exit(code);
}

/* Where one of the descriptors 0 to 2 is closed, the next file to be opened would be it, a disk perhaps, and
   get what is written to the log. */
static bool have_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    struct arguments a = { .mode = MODE_KEEPER };

    if (!have_standard_streams())
        return EXIT_REFUSED;
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return run_worker(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--keeper-trial") == 0)
        exit_at_once(run_keeper_trial(argc, argv));
    if (argc > 1 && strcmp(argv[1], "--fence-helper") == 0)
        exit_at_once(fence_helper_run(argc, argv));
    if (argc > 1 && strcmp(argv[1], "--plugin-helper") == 0)
        exit_at_once(plugin_helper_run(argc, argv));
    if (parse_arguments(argc, argv, &a) < 0) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    switch (a.mode) {
    case MODE_VERSION:
        puts("holdfastd " HOLDFAST_VERSION);
        return written(EXIT_DONE);
    case MODE_HELP:
        fputs(usage, stdout);
        return written(EXIT_DONE);
    case MODE_CHECK:
        return run_check(&a);
    case MODE_LIST:
    case MODE_DESCRIBE:
        return written(run_plugins(&a));
    case MODE_KEEPER:
        return run_keeper(&a);
    }
    return EXIT_USAGE;
}
