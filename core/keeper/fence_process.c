/* SPDX-License-Identifier: BSD-3-Clause */
/* See fence_process.h, and spawn.h for what is allowed before exec. */
#include "keeper/fence_process.h"

#include "base/clock.h"
#include "keeper/fence.h"
#include "keeper/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const char *fence_verb_name(enum fence_verb verb)
{
    static const char *const names[] = { "clean", "raise", "lower" };
    return names[verb];
}

static void child_signals(void)
{
    static const int defaults[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGPIPE, SIGCHLD };
    sigset_t none;

    for (unsigned i = 0; i < G_N_ELEMENTS(defaults); i++)
        signal(defaults[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A descriptor of its own: its file position is its own, too. Everything else closes at exec. */
static bool child_place_config(int config_fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", config_fd);
    int fd = open(path, O_RDONLY);
    if (fd < 0 || (fd != FENCE_HELPER_FD_CONFIG && dup2(fd, FENCE_HELPER_FD_CONFIG) < 0))
        return false;
    return syscall(SYS_close_range, FENCE_HELPER_FD_CONFIG + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

struct child {
    const struct fence_call *call;
    pid_t parent;
};

static _Noreturn void child_exec(const void *data)
{
    const struct child *c = data;
    const struct fence_call *call = c->call;
    char age[16];
    char *argv[] = { (char *)"holdfastd",
                     (char *)"--fence-helper",
                     (char *)fence_verb_name(call->verb),
                     (char *)call->instance,
                     age,
                     (char *)call->file,
                     NULL };

    snprintf(age, sizeof(age), "%u", call->max_age_ms);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(FENCE_EXIT_FAILED);
    child_signals();
    if (child_place_config(call->config_fd))
        execv("/proc/self/exe", argv);
    dprintf(STDERR_FILENO, "holdfastd: cannot start the fence helper: %s\n", strerror(errno));
    _exit(FENCE_EXIT_FAILED);
}

int fence_process_start(struct fence_process *p, const struct fence_call *call)
{
    const struct child child = { call, getpid() };
    pid_t pid = spawn(child_exec, &child);

    if (pid < 0)
        return (int)pid;
    setpgid(pid, pid); /* both do: whoever is first, the group exists when we may have to kill it */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        int r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    *p = (struct fence_process){ .pid = pid, .pidfd = pidfd, .verb = call->verb };
    p->started_ns = clock_now_ns();
    p->deadline_ns = p->started_ns + FENCE_HELPER_MS * NS_PER_MS;
    return 0;
}

void fence_process_kill(struct fence_process *p)
{
    if (p->pid != 0)
        kill(-p->pid, SIGKILL); /* not reaped yet, so the number is still its */
    p->deadline_ns = 0;
}

static void forget(struct fence_process *p)
{
    close(p->pidfd);
    *p = (struct fence_process){ .pidfd = -1 };
}

int fence_process_reap(struct fence_process *p)
{
    siginfo_t info = { 0 };

    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return -EAGAIN;
    kill(-p->pid, SIGKILL); /* what it left behind */
    waitpid(p->pid, NULL, 0);
    forget(p);
    return info.si_code == CLD_EXITED ? info.si_status : -1;
}

void fence_process_discard(struct fence_process *p)
{
    if (p->pid == 0)
        return;
    fence_process_kill(p);
    waitpid(p->pid, NULL, WNOHANG); /* not to wait for one that hangs in the kernel */
    forget(p);
}
