/* SPDX-License-Identifier: BSD-3-Clause */
/* See worker.h, and spawn.h for what is allowed before exec. */
#include "keeper/worker.h"

#include "base/clock.h"
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

#define FIRST_SPARE_FD 16 /* above all the worker's fixed numbers */
#define REST_LOOK      (100 * NS_PER_MS)

struct worker_fds {
    int link[2];      /* [0] keeper, [1] worker */
    int tombstone[2]; /* [0] keeper reads, [1] worker */
    int config;
    int control; /* the caller's; -1: none */
};

static void fds_close(struct worker_fds *f)
{
    int *all[] = { &f->link[0], &f->link[1], &f->tombstone[0], &f->tombstone[1], &f->config };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

static int fds_open(struct worker_fds *f, int config_fd)
{
    char path[64];
    int r = link_pair(f->link);
    if (r < 0)
        return r;
    if (pipe2(f->tombstone, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    /* Opened anew: a worker's file position is its own. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", config_fd);
    f->config = open(path, O_RDONLY | O_CLOEXEC);
    return f->config < 0 ? -errno : 0;
}

/* Puts the descriptors where the worker looks for them; everything else closes at exec. */
static bool child_place_fds(const struct worker_fds *f)
{
    int from[] = { f->link[1], f->tombstone[1], f->config, f->control };
    const int to[] = { LINK_WORKER_FD_LINK, LINK_WORKER_FD_TOMBSTONE, LINK_WORKER_FD_CONFIG,
                       LINK_WORKER_FD_CONTROL };
    unsigned count = G_N_ELEMENTS(from) - (f->control < 0);

    for (unsigned i = 0; i < count; i++) {
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_SPARE_FD);
        if (from[i] < 0)
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (dup2(from[i], to[i]) < 0)
            return false;
    }
    return syscall(SYS_close_range, to[count - 1] + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static void child_signals(void)
{
    static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGPIPE };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t none;

    for (unsigned i = 0; i < G_N_ELEMENTS(ignored); i++)
        sigaction(ignored[i], &ignore, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The keeper is the last process the kernel should sacrifice; the worker is an ordinary one. */
static void child_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "0", 1) < 0)
        (void)0; /* a lower score than ours is always allowed to be given up */
    close(fd);
}

struct child {
    const struct worker *worker;
    const struct worker_fds *fds;
    const char *file;
    int exe_fd;
    pid_t parent;
};

static _Noreturn void child_exec(const void *data)
{
    const struct child *c = data;
    const struct worker *w = c->worker;
    char number[16];
    const char *name = w->spare ? WORKER_SPARE_NAME : w->again ? WORKER_AGAIN_NAME : "holdfastd";
    char *argv[] = { (char *)name, (char *)"--worker", number, (char *)c->file, NULL };

    snprintf(number, sizeof(number), "%u", w->generation);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(1); /* it died before we asked to be told */
    child_oom_score();
    if (w->spare)
        worker_priority_aside(0);
    child_signals();
    int exe = fcntl(c->exe_fd, F_DUPFD_CLOEXEC, FIRST_SPARE_FD);
    if (exe >= 0 && child_place_fds(c->fds))
        execveat(exe, "", argv, environ, AT_EMPTY_PATH);
    dprintf(STDERR_FILENO, "holdfastd: cannot start the worker: %s\n", strerror(errno));
    _exit(1);
}

static int worker_spawn(struct worker *w, const struct worker_fds *f, const char *file, int exe_fd)
{
    const struct child child = { w, f, file, exe_fd, getpid() };
    pid_t pid = spawn(child_exec, &child);
    if (pid < 0)
        return (int)pid;
    w->pid = pid;
    w->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (w->pidfd >= 0)
        return 0;
    int r = -errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return r;
}

static int start(struct worker *w, int config_fd, int control_fd, const char *file, int exe_fd)
{
    struct worker_fds f = { { -1, -1 }, { -1, -1 }, -1, control_fd };

    w->pidfd = w->tombstone = -1;
    int r = fds_open(&f, config_fd);
    if (r == 0)
        r = worker_spawn(w, &f, file, exe_fd);
    if (r == 0) {
        link_init(&w->link, f.link[0]);
        w->tombstone = f.tombstone[0];
        f.link[0] = f.tombstone[0] = -1;
        w->started_ns = clock_now_ns();
        w->state = WORKER_STARTING;
    }
    fds_close(&f);
    return r;
}

static void store_tombstone(struct worker *w, struct store *store)
{
    w->store = store;
    w->stored = store_keep(store, STORE_TOMBSTONE, w->generation, 0, w->tombstone, false);
}

int worker_start(struct worker *w, struct store *store, unsigned generation, bool again,
                 int config_fd, int control_fd, const char *file, int exe_fd)
{
    *w = (struct worker){ .generation = generation, .again = again };
    int r = start(w, config_fd, control_fd, file, exe_fd);
    if (r == 0)
        store_tombstone(w, store);
    return r;
}

int worker_start_spare(struct worker *w, unsigned generation, int config_fd, int control_fd,
                       const char *file, int exe_fd)
{
    *w = (struct worker){ .generation = generation, .spare = true };
    worker_priority_can(); /* found out here, not by the child in our memory */
    return start(w, config_fd, control_fd, file, exe_fd);
}

void worker_spare_no_more(struct worker *w, struct store *store)
{
    w->spare = false;
    w->started_ns = clock_now_ns();
    store_tombstone(w, store);
}

void worker_move(struct worker *to, struct worker *from)
{
    *to = *from;
    list_init(&to->link.outbox);
    list_init(&to->link.inbox);
    list_splice(&to->link.outbox, &from->link.outbox);
    list_splice(&to->link.inbox, &from->link.inbox);
    *from = (struct worker){ .pidfd = -1, .tombstone = -1 };
}

/* ---- what is left of processes: it ends by itself ---- */

static GArray *rests; /* of pid_t: their process groups, whose numbers nobody else gets meanwhile */

static bool rest_is_over(pid_t group)
{
    siginfo_t info;

    do {
        info.si_pid = 0;
        if (waitid(P_PGID, (id_t)group, &info, WEXITED | WNOHANG) < 0)
            return true;
    } while (info.si_pid != 0);
    return false;
}

void worker_rest_begins(pid_t group)
{
    if (rest_is_over(group))
        return;
    worker_priority_rest(group);
    if (rests == NULL)
        rests = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_array_append_val(rests, group);
}

uint64_t worker_rests_tick(uint64_t now_ns)
{
    for (guint i = rests != NULL ? rests->len : 0; i-- > 0;) {
        if (rest_is_over(g_array_index(rests, pid_t, i)))
            g_array_remove_index_fast(rests, i);
    }
    return rests != NULL && rests->len > 0 ? now_ns + REST_LOOK : UINT64_MAX;
}

/* ---- its end ---- */

void worker_kill(struct worker *w)
{
    if (w->state != WORKER_NONE)
        kill(w->pid, SIGKILL); /* not reaped yet, so the number is still its */
    w->killed = true;
    w->kill_ns = 0;
}

/* What is left of it ends by itself. */
static void forget(struct worker *w)
{
    worker_rest_begins(w->pid);
    w->state = WORKER_NONE;
    link_deinit(&w->link);
    close(w->pidfd);
    if (w->stored)
        w->stored = store_let_go(w->store, w->stored);
    close(w->tombstone);
    w->pidfd = w->tombstone = -1;
}

void worker_discard(struct worker *w)
{
    if (w->state == WORKER_NONE)
        return;
    worker_kill(w);
    while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    forget(w);
}

void worker_let_die(struct worker *w)
{
    if (w->state == WORKER_NONE)
        return;
    worker_kill(w);
    forget(w);
}

int worker_reap(struct worker *w, int *ret_tombstone, bool *ret_by_signal, int *ret_code,
                char **ret_how)
{
    siginfo_t info = { 0 };

    if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG) < 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    worker_rest_begins(w->pid);
    link_deinit(&w->link);
    close(w->pidfd);
    w->pidfd = -1;
    w->state = WORKER_NONE;
    *ret_tombstone = w->tombstone;
    w->tombstone = -1;
    *ret_by_signal = info.si_code != CLD_EXITED;
    *ret_code = info.si_status;
    *ret_how = *ret_by_signal
                   ? g_strdup_printf("signal %d (%s)", info.si_status, g_strsignal(info.si_status))
                   : g_strdup_printf("exit code %d", info.si_status);
    return 0;
}
