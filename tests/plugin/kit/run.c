/* SPDX-License-Identifier: BSD-3-Clause */
/* See run.h. The runner itself has one thread and never loads the plugin. */
#include "run.h"

#include <errno.h>
#include <fnmatch.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_MAX 1024
#define CASES_MAX  64

static struct kit_case cases[CASES_MAX];
static unsigned case_count;
static int report_fd = -1; /* of the case that runs in this process */

void kit_add(const struct kit_case *more, unsigned count)
{
    g_assert_cmpuint(case_count + count, <=, CASES_MAX);
    memcpy(&cases[case_count], more, count * sizeof(*more));
    case_count += count;
}

/* ------------------------------------------------------------------------------------ in a case */

/* The first letter says what it is: a Finding, Skipped, Done; a pipe takes this many bytes in one piece. */
static void report(char what, const char *text)
{
    char line[REPORT_MAX];
    int length = g_snprintf(line, sizeof(line), "%c%s\n", what, text);
    if (write(report_fd, line, MIN((size_t)length, sizeof(line) - 1)) < 0)
        perror("report");
}

void kit_finding(const char *id, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = g_strdup_vprintf(format, args);
    va_end(args);
    char *line = g_strdup_printf("%s: %s", id, text);
    report('F', line);
    _exit(1);
}

void kit_skip(const char *why)
{
    report('S', why);
}

void kit_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    printf("# %s\n", text);
    fflush(stdout);
}

/* ------------------------------------------------------------------------------------ the runner */

struct outcome {
    char report[REPORT_MAX]; /* "" when it said nothing */
    bool late;
    int status;
};

static pid_t start(const struct kit_case *c, int *ret_fd)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) < 0)
        g_error("pipe: %s", g_strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        g_error("fork: %s", g_strerror(errno));
    if (pid > 0) {
        close(ends[1]);
        *ret_fd = ends[0];
        return pid;
    }
    close(ends[0]);
    setpgid(0, 0);
    report_fd = ends[1];
    c->run();
    report('D', "");
    exit(0); /* not _exit(): a leak checker has its say */
}

/* Until every end of the pipe is closed: processes of the case may outlive its first report. */
static void listen_to(int fd, unsigned patience_s, struct outcome *o)
{
    gint64 end = g_get_monotonic_time() + patience_s * G_USEC_PER_SEC;
    for (;;) {
        char part[REPORT_MAX];
        gint64 rest = end - g_get_monotonic_time();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (rest <= 0 || poll(&p, 1, (int)(rest / 1000) + 1) == 0) {
            o->late = true;
            return;
        }
        ssize_t n = read(fd, part, sizeof(part) - 1);
        if (n <= 0)
            return;
        part[n] = '\0';
        if (!o->report[0])
            g_strlcpy(o->report, part, MIN(strcspn(part, "\n") + 1, sizeof(o->report)));
    }
}

static struct outcome run_case(const struct kit_case *c, unsigned patience_s)
{
    struct outcome o = { "", false, 0 };
    int fd;
    pid_t pid = start(c, &fd);
    listen_to(fd, patience_s, &o);
    if (o.late)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &o.status, 0) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL); /* what it started and left */
    close(fd);
    return o;
}

static char *finding_of(const struct outcome *o, unsigned patience_s)
{
    if (o->report[0] == 'F')
        return g_strdup(o->report + 1);
    if (o->late)
        return g_strdup_printf("hang: not over after %u s", patience_s);
    if (WIFSIGNALED(o->status))
        return g_strdup_printf("crash: ended by signal %d (%s)", WTERMSIG(o->status),
                               g_strsignal(WTERMSIG(o->status)));
    if (WEXITSTATUS(o->status) != 0 || !o->report[0])
        return g_strdup_printf("crash: the process ended with exit code %d",
                               WEXITSTATUS(o->status));
    return NULL;
}

static bool is_meant(const struct kit_case *c, const char *glob)
{
    return !glob || fnmatch(glob, c->name, 0) == 0;
}

unsigned kit_run(const char *glob, unsigned patience_s)
{
    unsigned number = 0, findings = 0;
    for (unsigned i = 0; i < case_count; i++) {
        if (!is_meant(&cases[i], glob))
            continue;
        struct outcome o = run_case(&cases[i], patience_s);
        g_autofree char *finding = finding_of(&o, patience_s);
        printf("%sok %u %s%s%s\n", finding ? "not " : "", ++number, cases[i].name,
               !finding && o.report[0] == 'S' ? " # SKIP " : "",
               !finding && o.report[0] == 'S' ? o.report + 1 : "");
        if (finding)
            printf("# finding: %s: %s\n", cases[i].name, finding);
        fflush(stdout);
        findings += finding != NULL;
        if (finding && i == 0) { /* it is not loaded: the others would only repeat that */
            printf("# the other cases need a plugin that loads\n");
            break;
        }
    }
    printf("1..%u\n# %u finding%s\n", number, findings, findings == 1 ? "" : "s");
    return findings;
}

void kit_list(void)
{
    for (unsigned i = 0; i < case_count; i++)
        printf("%s\n", cases[i].name);
}
