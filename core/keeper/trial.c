/* SPDX-License-Identifier: BSD-3-Clause */
/* See trial.h, and spawn.h for what is allowed before exec. */
#include "keeper/trial.h"

#include "base/clock.h"
#include "base/log.h"
#include "keeper/spawn.h"
#include "keeper/state.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_NS  (20 * NS_PER_S) /* several plugins that hang are not all named */
#define SPARE_FD  16
#define EXIT_BAD  1
#define EXIT_NONE 2 /* a binary that knows no such thing */

struct trial {
    pid_t pid;
    struct source exit;
    int output;
    uint64_t deadline_ns;
    trial_done_fn *done;
};

struct child {
    int exe_fd, config_fd, output;
    const char *file;
    pid_t parent;
};

static _Noreturn void child_exec(const void *data)
{
    const struct child *c = data;
    static const int defaults[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGPIPE, SIGCHLD };
    char *argv[] = { (char *)"holdfastd", (char *)"--plugin-helper", (char *)c->file, NULL };
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(EXIT_NONE);
    for (unsigned i = 0; i < G_N_ELEMENTS(defaults); i++)
        signal(defaults[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int exe = fcntl(c->exe_fd, F_DUPFD_CLOEXEC, SPARE_FD);
    char path[64]; /* a descriptor of its own: its file position is its own, too */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", c->config_fd);
    int config = open(path, O_RDONLY | O_CLOEXEC);
    if (config >= 0)
        config = fcntl(config, F_DUPFD_CLOEXEC, SPARE_FD);
    int out = fcntl(c->output, F_DUPFD_CLOEXEC, SPARE_FD);
    if (exe >= 0 && config >= 0 && out >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(config, TRIAL_FD_CONFIG) >= 0 &&
        syscall(SYS_close_range, TRIAL_FD_CONFIG + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        execveat(exe, "", argv, environ, AT_EMPTY_PATH);
    _exit(EXIT_NONE);
}

static void forget(struct keeper *k)
{
    struct trial *t = k->trial;
    source_watch(k, &t->exit, t->exit.fd, 0);
    close(t->exit.fd);
    close(t->output);
    g_free(t);
    k->trial = NULL;
}

/* Its line; "" when it said none. */
static void read_line(int fd, char text[static TRIAL_TEXT_MAX])
{
    ssize_t n = read(fd, text, TRIAL_TEXT_MAX - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static void conclude(struct keeper *k, const char *why)
{
    trial_done_fn *done = k->trial->done;
    forget(k);
    done(k, why);
}

static void exit_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct trial *t = k->trial;
    siginfo_t info = { 0 };
    char text[TRIAL_TEXT_MAX];

    if (waitid(P_PID, (id_t)t->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return;
    kill(-t->pid, SIGKILL); /* what plugins have left behind */
    waitpid(t->pid, NULL, 0);
    read_line(t->output, text);
    if (info.si_code != CLD_EXITED)
        g_snprintf(text, sizeof(text), "plugins cannot be loaded: trying them ends with signal %d",
                   info.si_status);
    else if (info.si_status != EXIT_BAD)
        text[0] = '\0';
    else if (text[0] == '\0')
        g_strlcpy(text, "plugins cannot be loaded: trying them fails", sizeof(text));
    conclude(k, text[0] != '\0' ? text : NULL);
}

int trial_start(struct keeper *k, int exe_fd, int config_fd, trial_done_fn *done)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    const struct child child = { exe_fd, config_fd, fds[1], k->args->file, getpid() };
    pid_t pid = spawn(child_exec, &child);
    int r = pid < 0 ? (int)pid : 0;
    close(fds[1]);
    int pidfd = r < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        r = r < 0 ? r : -errno;
        close(fds[0]);
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        return r;
    }
    setpgid(pid, pid);
    worker_priority_aside(pid);
    struct trial *t = k->trial = g_new0(struct trial, 1);
    t->pid = pid;
    t->output = fds[0];
    t->done = done;
    t->deadline_ns = clock_now_ns() + TRIAL_NS;
    t->exit = (struct source){ .ready = exit_ready, .fd = pidfd };
    return source_watch(k, &t->exit, pidfd, EPOLLIN);
}

static void end(struct keeper *k)
{
    kill(-k->trial->pid, SIGKILL);
    worker_rest_begins(k->trial->pid); /* not to wait for one that hangs in the kernel */
}

void trial_stop(struct keeper *k)
{
    if (k->trial == NULL)
        return;
    end(k);
    forget(k);
}

uint64_t trial_tick(struct keeper *k, uint64_t now)
{
    if (k->trial == NULL)
        return UINT64_MAX;
    if (now < k->trial->deadline_ns)
        return k->trial->deadline_ns;
    end(k);
    conclude(k, "plugins cannot be loaded: trying them takes too long");
    return UINT64_MAX;
}
