/* SPDX-License-Identifier: BSD-3-Clause */
/* See trial.h. The child says its result through a pipe; saying nothing is what a crash is known by. */
#include "plugin/trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
    int result;
    struct hf_error error;
};

static bool on;
static struct hf_error worst;

void trial_begin(void)
{
    on = true;
}

bool trial_is_on(void)
{
    return on;
}

const struct hf_error *trial_worst(void)
{
    return &worst;
}

static _Noreturn void child(int (*run)(void *data, struct hf_error *error), void *data, int fd)
{
    static const int defaults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT };
    struct report report = { 0 };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    for (unsigned i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        signal(defaults[i], SIG_DFL);
    report.result = run(data, &report.error);
    if (report.result == 0 && worst.code != 0) { /* of a trial within this one */
        report.result = -worst.code;
        report.error = worst;
    }
    ssize_t n = write(fd, &report, sizeof(report));
    _exit(n == (ssize_t)sizeof(report) ? 0 : 1);
}

/* Its end, or the deadline. 0, or -ETIMEDOUT and it is killed. */
static int await(pid_t pid, int *ret_status)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), r;
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    do
        r = poll(&p, 1, (int)TRIAL_MS);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        kill(pid, SIGKILL);
    if (pidfd >= 0)
        close(pidfd);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    return r == 0 ? -ETIMEDOUT : 0;
}

static int judge(int r, int status, const char *what, struct hf_error *error)
{
    if (r == -ETIMEDOUT)
        r = plugin_fail(error, ETIMEDOUT, "%s does not return within %u seconds", what,
                        TRIAL_MS / 1000);
    else if (WIFSIGNALED(status))
        r = plugin_fail(error, ENOTRECOVERABLE, "%s crashes: signal %d (%s)", what,
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        r = plugin_fail(error, ENOTRECOVERABLE, "%s ends the process (exit code %d)", what,
                        WEXITSTATUS(status));
    return r;
}

int trial_run(int (*run)(void *data, struct hf_error *error), void *data, const char *what,
              struct hf_error *error)
{
    struct report report;
    int fds[2], status = 0;

    fflush(NULL); /* what is buffered is not for both to write */
    if (pipe(fds) < 0)
        return plugin_fail(error, errno, "cannot be tried: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(run, data, fds[1]);
    }
    close(fds[1]);
    int r = pid < 0 ? -errno : await(pid, &status);
    /* its end is behind us: what it said is there, and whoever else has the pipe is not waited for */
    struct pollfd p = { .fd = fds[0], .events = POLLIN };
    bool said = r == 0 && poll(&p, 1, 0) > 0 && p.revents & POLLIN &&
                read(fds[0], &report, sizeof(report)) == (ssize_t)sizeof(report);
    close(fds[0]);
    if (pid < 0)
        return plugin_fail(error, -r, "cannot be tried: %s", strerror(-r));
    if (said) {
        report.error.text[sizeof(report.error.text) - 1] = '\0';
        if (report.result < 0)
            plugin_fail(error, -report.result, "%s", report.error.text);
        r = report.result;
    } else {
        r = judge(r, status, what, error);
    }
    return r;
}

void trial_note(const struct hf_error *error)
{
    if (worst.code == 0)
        worst = *error;
}
