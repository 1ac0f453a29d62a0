/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper itself becomes another binary: execve(2) in place, with the same process number, all descriptors
 * and a text that says what they are (heritage.h). Its worker notices nothing, the link stays as it is.
 *
 * Which binary: that of the worker. When an upgrade is over, or has been taken back, and the worker that
 * serves runs another one than we do, we follow:
 *
 *   WAITING  until nothing is under way: the old worker is gone, no reload, no fence, no helper
 *   TRYING   a child runs that binary with all that it would get, and says whether it could go on
 *   (exec)   the new one goes on; should it fail before it has touched anything, it becomes us again
 *
 * Whatever fails before exec leaves the keeper as it is; the worker's upgrade holds in any case.
 */
#include "keeper/fence.h"
#include "keeper/heritage.h"
#include "keeper/session_share.h"
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_NS (30 * NS_PER_S) /* for everything else to come to its end */
#define TRY_NS  (5 * NS_PER_S)  /* for the child; nothing waits for it */
#define LOOK_NS (5 * NS_PER_MS)

bool renew_same_file(int a, int b)
{
    struct stat one, other;
    return a >= 0 && b >= 0 && fstat(a, &one) == 0 && fstat(b, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static void end(struct keeper *k, enum link_keeper outcome)
{
    k->renew.state = RENEW_NONE;
    k->report.keeper = outcome;
}

static void fail(struct keeper *k, const char *why)
{
    log_error("keeper", "stays the binary that it is: %s", why);
    k->status.keepers.failures++;
    g_strlcpy(k->report.keeper_why, why, sizeof(k->report.keeper_why));
    end(k, LINK_KEEPER_FAILED);
}

void renew_consider(struct keeper *k)
{
    if (k->renew.spare || renew_same_file(k->exe, k->renew.self)) {
        end(k, LINK_KEEPER_SAME);
        return;
    }
    spare_discard(k);
    k->renew.state = RENEW_WAITING;
    k->renew.deadline_ns = clock_now_ns() + WAIT_NS;
    k->report.keeper = LINK_KEEPER_PENDING;
}

/* ---- the trial ---- */

static void trial_discard(struct keeper *k)
{
    if (k->renew.pid == 0)
        return;
    kill(k->renew.pid, SIGKILL);
    while (waitpid(k->renew.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    source_watch(k, &k->renew.exit, k->renew.pidfd, 0);
    close(k->renew.pidfd);
    k->renew.pid = 0;
}

void renew_abandon(struct keeper *k)
{
    trial_discard(k);
    if (k->renew.state != RENEW_NONE)
        end(k, LINK_KEEPER_SAME);
}

/* Writes it and reads it again: what we pass on is what another one would understand. */
static struct heritage *make_heritage(struct keeper *k, const char **ret_why)
{
    int fd = -1;
    record_write(k);
    int r = heritage_write(k, &fd);
    struct heritage *h = r < 0 ? NULL : heritage_read(fd);
    *ret_why = r < 0       ? g_strerror(-r)
               : h == NULL ? "what is to be passed on cannot be written"
                           : NULL;
    if (h == NULL && fd >= 0)
        close(fd);
    return h;
}

static void drop_heritage(struct heritage *h)
{
    close(h->text_fd);
    close(h->fd);
    heritage_free(h);
}

static _Noreturn void trial_exec(const struct keeper *k, const struct heritage *h, pid_t parent)
{
    char *argv[] = { (char *)"holdfastd", (char *)"--keeper-trial", (char *)k->args->file, NULL };
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() == parent && heritage_pass_on(h, getpid()) == 0)
        execveat(k->exe, "", argv, environ, AT_EMPTY_PATH);
    _exit(126);
}

static void try_it(struct keeper *k)
{
    const char *why = NULL;
    pid_t parent = getpid();
    struct heritage *h = make_heritage(k, &why);
    if (h == NULL) {
        fail(k, why);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        trial_exec(k, h, parent);
    drop_heritage(h);
    if (pid < 0) {
        fail(k, g_strerror(errno));
        return;
    }
    worker_priority_aside(pid);
    k->renew.pid = pid;
    k->renew.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    k->renew.state = RENEW_TRYING;
    k->renew.deadline_ns = clock_now_ns() + TRY_NS;
    if (k->renew.pidfd >= 0 && source_watch(k, &k->renew.exit, k->renew.pidfd, EPOLLIN) == 0)
        return;
    trial_discard(k);
    fail(k, "the child that tries it cannot be watched");
}

/* ---- the step ---- */

static bool is_quiet(const struct keeper *k)
{
    return k->upgrade == UPGRADE_NONE && k->worker.state == WORKER_READY && k->next_exe < 0 &&
           k->next.state == WORKER_NONE && k->spare.worker.state == WORKER_NONE &&
           k->old.state == WORKER_NONE && k->reload == NULL && k->worker.link.queued == 0 &&
           k->reap_ns == 0 && k->record.fd >= 0 && list_empty(&k->tombstones) &&
           !k->worker.hurries && session_share_tick(0) == UINT64_MAX &&
           worker_rests_tick(0) == UINT64_MAX && list_empty(&k->store.queue) && !k->stopping &&
           !k->leaving && !k->worker.hung && fence_is_quiet(k);
}

/* Only comes back when it could not be. */
static void become(struct keeper *k)
{
    const char *why = NULL;
    char *argv[] = { (char *)"holdfastd", (char *)"-c", (char *)k->args->file, NULL };
    k->report.keeper = LINK_KEEPER_DONE;
    k->status.keepers.count++;
    struct heritage *h = make_heritage(k, &why);
    int r = h != NULL ? heritage_pass_on(h, getpid()) : 0;
    if (r == 0 && h != NULL) {
        log_notice("keeper", "becomes another binary binary=%s generation=%u connections=%u",
                   k->report.binary, k->worker.generation, k->connections.used);
        execveat(k->exe, "", argv, environ, AT_EMPTY_PATH);
        r = -errno;
    }
    k->status.keepers.count--;
    if (h != NULL) {
        heritage_keep(h);
        drop_heritage(h);
    }
    fail(k, why != NULL ? why : g_strerror(-r));
}

static void trial_ended(struct keeper *k, struct source *s, uint32_t events)
{
    int status = 0;
    if (waitpid(k->renew.pid, &status, WNOHANG) != k->renew.pid)
        return;
    source_watch(k, s, s->fd, 0);
    close(k->renew.pidfd);
    k->renew.pid = 0;
    g_autofree char *why =
        WIFSIGNALED(status)
            ? g_strdup_printf("the new one, tried, was ended by signal %d", WTERMSIG(status))
            : g_strdup_printf("the new one, tried, does not take over: exit code %d",
                              WEXITSTATUS(status));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail(k, why);
        return;
    }
    k->renew.state = RENEW_TRIED;
    k->renew.deadline_ns = clock_now_ns() + WAIT_NS;
}

uint64_t renew_tick(struct keeper *k, uint64_t now)
{
    if (k->renew.state == RENEW_NONE)
        return UINT64_MAX;
    if (now >= k->renew.deadline_ns) {
        bool hangs = k->renew.state == RENEW_TRYING;
        trial_discard(k);
        fail(k, hangs ? "the new one, tried, hangs" : "there is always something under way");
        return UINT64_MAX;
    }
    if (k->renew.state == RENEW_TRYING)
        return k->renew.deadline_ns;
    if (!is_quiet(k))
        return now + LOOK_NS;
    if (k->renew.state == RENEW_WAITING)
        try_it(k);
    else
        become(k);
    return now + LOOK_NS;
}

void renew_init(struct keeper *k)
{
    k->renew.self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    k->renew.exit = (struct source){ .ready = trial_ended, .fd = -1 };
    if (k->record.fd < 0 && record_open(&k->record, -1) == 0)
        record_write(k);
}

void renew_deinit(struct keeper *k)
{
    trial_discard(k);
    if (k->renew.self >= 0)
        close(k->renew.self);
    k->renew.self = -1;
}
