/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replacing the worker by the binary that is on disk now:
 *
 *   PREPARING  the plugins that are on disk now are tried by that binary; a new worker of that binary starts beside the old one, reads the configuration, maps
 *              the memory, makes its rings, and says PREPARED
 *   FREEZING   the old one finishes the I/O under way, holds still, and says FROZEN
 *   (done)     the new one gets the connections and GO; the old one ends
 *
 * When the two binaries keep the state in different layouts, the old one says IMAGE before FROZEN: the
 * new one reads it, says IMPORTED, and only then the old one gets LET_GO.
 *
 * Until FROZEN nothing has happened: whatever fails, the old worker goes on and the new one is thrown
 * away. After it the state memory is all there is, and a new worker that dies on it is followed by
 * one of the old binary. A binary that keeps crashing soon after it took over is given up, too; until
 * then its crashes are blamed on it, and not on what initiators sent.
 */
#include "base/clock.h"
#include "base/log.h"
#include "keeper/state.h"
#include "keeper/trial.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIAL_NS         (30 * NS_PER_S) /* for its plugins to be tried; trial.c has a shorter time */
#define PREPARE_NS       (20 * NS_PER_S) /* for the new binary to come up, at low priority */
#define FREEZE_MS        2000u           /* for I/O under way */
#define FREEZE_NS        (3 * NS_PER_S)  /* ... and to say so */
#define TAKE_OVER_NS     (5 * NS_PER_S)  /* for the new one to be ready after GO */
#define OLD_EXIT_NS      (5 * NS_PER_S)
#define ROLLBACK_NS      (60 * NS_PER_S) /* crashes within this time are blamed on the new binary */
#define ROLLBACK_CRASHES 2u

static void exe_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_next(struct keeper *k)
{
    source_watch(k, &k->next_link, k->next_link.fd, 0);
    source_watch(k, &k->next_exit, k->next_exit.fd, 0);
    trial_stop(k);
    worker_discard(&k->next);
    exe_close(&k->next_exe);
    k->upgrade = UPGRADE_NONE;
    k->upgrade_deadline_ns = 0;
}

static void report_failure(struct keeper *k, const char *why)
{
    k->status.upgrades.failures++;
    k->report.state = LINK_UPGRADE_FAILED;
    g_strlcpy(k->report.why, why, sizeof(k->report.why));
}

static void tell_old(struct keeper *k, enum link_type type)
{
    supervise_tell(k, &(struct link_message){ .type = type, .fd = -1 });
}

/* The old worker goes on as if nothing had been. */
static void fail(struct keeper *k, const char *why)
{
    log_error("upgrade", "failed, generation %u goes on: %s", k->worker.generation, why);
    report_failure(k, why);
    if (k->image == IMAGE_EXPORTING || k->image == IMAGE_IMPORTING)
        tell_old(k, LINK_GO_ON);
    k->image = IMAGE_NONE;
    worker_hurry_over(&k->worker);
    forget_next(k);
    reload_handover_failed(k);
    accept_update(k);
}

void upgrade_abandon(struct keeper *k, const char *why)
{
    if (k->upgrade != UPGRADE_NONE)
        fail(k, why);
}

static void on_prepared(struct keeper *k, uint64_t layout)
{
    bool same = layout == k->layout;
    k->next_layout = layout;
    k->image = same ? IMAGE_NONE : IMAGE_EXPORTING;
    k->upgrade = UPGRADE_FREEZING;
    k->report.state = LINK_UPGRADE_FREEZING;
    k->upgrade_deadline_ns = clock_now_ns() + FREEZE_NS;
    k->freeze_ns = clock_now_ns();
    accept_update(k); /* connections wait in the backlog now */
    worker_hurry(&k->worker);
    supervise_tell(k, &(struct link_message){ .type = same ? LINK_FREEZE : LINK_EXPORT,
                                              .fd = -1,
                                              .freeze.deadline_ms = FREEZE_MS });
}

void upgrade_image(struct keeper *k, int fd)
{
    if (k->upgrade != UPGRADE_FREEZING || k->image != IMAGE_EXPORTING) /* abandoned meanwhile */
        return;
    k->image = IMAGE_IMPORTING;
    k->upgrade_deadline_ns = clock_now_ns() + FREEZE_NS;
    link_send(&k->next.link, &(struct link_message){ .type = LINK_IMPORT, .fd = fd });
}

/* The point of no return: the old worker lets go of everything when it hears this. */
static void on_imported(struct keeper *k)
{
    k->image = IMAGE_COMMITTED;
    k->upgrade_deadline_ns = clock_now_ns() + FREEZE_NS;
    tell_old(k, LINK_LET_GO);
}

static bool handle_next(struct keeper *k, const struct link_message *m)
{
    switch (m->type) {
    case LINK_PREPARED:
        if (k->upgrade != UPGRADE_PREPARING)
            return false;
        on_prepared(k, m->prepared.layout);
        return true;
    case LINK_IMPORTED:
        if (k->image != IMAGE_IMPORTING)
            return false;
        on_imported(k);
        return true;
    case LINK_MEMFD_GET:
        supervise_memfd_get(k, &k->next, &m->memfd_get);
        return true;
    case LINK_FAILED:
        fail(k, m->failed.text);
        return true;
    default:
        return false;
    }
}

static void next_link_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct link_message m;
    int r = 0;
    while (k->upgrade != UPGRADE_NONE && (r = link_receive(&k->next.link, &m)) > 0) {
        bool fine = handle_next(k, &m);
        if (m.fd >= 0)
            close(m.fd);
        if (!fine) {
            fail(k, "the new worker speaks nonsense");
            return;
        }
    }
    if (k->upgrade != UPGRADE_NONE && r < 0)
        fail(k, "the new worker is gone");
}

static void next_exit_ready(struct keeper *k, struct source *s, uint32_t events)
{
    /* What it said before it ended is the better reason. */
    next_link_ready(k, &k->next_link, EPOLLIN);
    upgrade_abandon(k, "the new worker has ended");
}

static bool is_program(int fd, const struct stat *st)
{
    char magic[SELFMAG];
    return (st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 &&
           pread(fd, magic, SELFMAG, 0) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/*
 * The binary to change to: a descriptor or negative errno. Who names one is a process that speaks to the
 * network: then it must be a file that nobody but root and us can have written.
 */
static int open_binary(const char *path, bool named)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        r = -EACCES;
    if (r == 0 && !is_program(fd, &st))
        r = -ENOEXEC;
    if (r == 0 && named &&
        ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0))
        r = -EPERM;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

static const char *open_binary_error(int r)
{
    return r == -EPERM     ? "others than root can write to it"
           : r == -ENOEXEC ? "is no program that can be run"
                           : g_strerror(-r);
}

/*
 * A plugin that fails its trial leaves the one in reserve, which has loaded the plugin of before. `config_fd` may be
 * the errno why there is none.
 */
static void start_next(struct keeper *k, int config_fd)
{
    spare_discard(k);
    int r = config_fd;
    if (r >= 0)
        r = worker_start(&k->next, &k->store, ++k->generation, /* again= */ false, config_fd,
                         k->control.fd, k->args->file, k->next_exe);
    if (r == 0)
        r = source_watch(k, &k->next_exit, k->next.pidfd, EPOLLIN);
    if (r == 0)
        r = source_watch(k, &k->next_link, k->next.link.fd, EPOLLIN);
    k->upgrade = UPGRADE_PREPARING;
    k->upgrade_deadline_ns = clock_now_ns() + PREPARE_NS;
    if (r < 0) {
        fail(k, g_strerror(-r));
        return;
    }
    worker_priority_aside(k->next.pid);
    k->report.generation = k->generation;
    k->report.pid = (uint32_t)k->next.pid;
    log_info("upgrade", "begun binary=%s generation=%u pid=%d", k->report.binary, k->generation,
             k->next.pid);
}

/* `why`: a plugin would take the new worker down. */
static void tried(struct keeper *k, const char *why)
{
    if (why)
        fail(k, why);
    else
        start_next(k, keeper_config(k));
}

static void report_begin(struct keeper *k, const char *path)
{
    k->report =
        (struct link_upgrade){ .number = k->report.number + 1, .state = LINK_UPGRADE_PREPARING };
    g_strlcpy(k->report.binary, path, sizeof(k->report.binary));
}

const char *upgrade_begin(struct keeper *k, const char *path, bool worker_only)
{
    const char *why = k->stopping || k->leaving                        ? "the daemon stops"
                      : k->upgrade != UPGRADE_NONE || k->next_exe >= 0 ? "one is under way"
                      : k->reload                                      ? "a reload is under way"
                      : k->worker.state != WORKER_READY                ? "no worker is ready"
                                                                       : NULL;
    if (why != NULL) {
        log_warning("upgrade", "not now: %s", why);
        return why;
    }
    renew_abandon(k);
    k->renew.spare = worker_only;
    bool named = path != NULL;
    if (!named)
        path = k->exe_path;
    report_begin(k, path);
    int r = open_binary(path, named);
    if (r < 0) {
        g_autofree char *text = g_strdup_printf("%s: %s", path, open_binary_error(r));
        log_error("upgrade", "failed, generation %u goes on: %s", k->worker.generation, text);
        report_failure(k, text);
        return NULL;
    }
    k->next_exe = r;
    k->upgrade = UPGRADE_PREPARING;
    k->upgrade_deadline_ns = clock_now_ns() + TRIAL_NS;
    r = keeper_config(k);
    if (r < 0 || trial_start(k, k->next_exe, r, tried) < 0)
        start_next(k, r);
    return NULL;
}

void upgrade_begin_config(struct keeper *k, int config_fd)
{
    renew_abandon(k);
    report_begin(k, k->exe_path);
    k->next_exe = fcntl(k->exe, F_DUPFD_CLOEXEC, 0);
    if (k->next_exe < 0) {
        fail(k, g_strerror(errno));
        return;
    }
    start_next(k, config_fd);
}

/* ---- the old worker's end ---- */

static void old_exit_ready(struct keeper *k, struct source *s, uint32_t events)
{
    source_watch(k, s, s->fd, 0);
    worker_discard(&k->old);
    k->old_deadline_ns = 0;
}

static void promote(struct keeper *k)
{
    source_watch(k, &k->old_exit, k->old_exit.fd,
                 0); /* of the upgrade before: it may be there still */
    worker_discard(&k->old);
    source_watch(k, &k->worker_exit, k->worker_exit.fd, 0);
    source_watch(k, &k->worker_link, k->worker_link.fd, 0);
    source_watch(k, &k->next_exit, k->next_exit.fd, 0);
    source_watch(k, &k->next_link, k->next_link.fd, 0);
    worker_move(&k->old, &k->worker);
    worker_move(&k->worker, &k->next);
    k->worker.state = WORKER_STARTING;
    k->layout = k->next_layout;
    k->image = IMAGE_NONE;
    k->old_deadline_ns = clock_now_ns() + OLD_EXIT_NS;
    k->take_over_deadline_ns = clock_now_ns() + TAKE_OVER_NS;
    k->upgrade = UPGRADE_NONE;
    k->report.state = LINK_UPGRADE_TAKING_OVER;
    k->upgrade_deadline_ns = 0;
    source_watch(k, &k->old_exit, k->old.pidfd, EPOLLIN);
    source_watch(k, &k->worker_exit, k->worker.pidfd, EPOLLIN);
    source_watch(k, &k->worker_link, k->worker.link.fd, EPOLLIN);
    supervise_go(k);
    worker_calm(&k->old);
}

void upgrade_frozen(struct keeper *k, bool clean)
{
    if (k->leaving) {
        leave_now(k);
        return;
    }
    if (k->upgrade !=
        UPGRADE_FREEZING) { /* the new one died meanwhile; this one has let go of all */
        log_notice("upgrade",
                   "generation %u holds still already, another one of its binary goes on",
                   k->worker.generation);
        worker_kill(&k->worker);
        k->worker.killed = false; /* it has done nothing wrong */
        return;
    }
    if (!clean) /* its rings may still write: GO waits for its tombstone, as after a crash */
        supervise_mourn(k, &k->worker);
    promote(k);
}

void upgrade_freeze_failed(struct keeper *k, const char *why)
{
    if (k->leaving)
        leave_now(k); /* the next worker does again what is under way, as after a crash */
    else if (k->upgrade == UPGRADE_FREEZING)
        fail(k, why);
}

/* The worker that took over is ready: its binary is the one to start again after a crash. */
void upgrade_ready(struct keeper *k)
{
    k->take_over_deadline_ns = 0;
    if (k->next_exe < 0) {
        if (k->renew.back)
            renew_consider(k);
        k->renew.back = false;
        return;
    }
    if (k->old.state != WORKER_NONE)
        link_deinit(&k->old.link); /* it has waited for this to end */
    uint64_t now = clock_now_ns();
    if (reload_is_handover(k)) { /* the binary is the same */
        exe_close(&k->next_exe);
        reload_handed_over(k);
    } else {
        exe_close(&k->previous_exe);
        k->previous_exe = k->exe;
        k->exe = k->next_exe;
        k->next_exe = -1;
        k->upgraded_ns = now;
        k->failures = 0; /* those were the old binary's */
    }
    supervise_count_pause(&k->status.upgrades, k->freeze_ns, now);
    k->report.state = LINK_UPGRADE_DONE;
    k->report.pause_ns = now - k->freeze_ns;
    log_notice("upgrade", "done generation=%u pid=%d pause=%.3fms", k->worker.generation,
               k->worker.pid, (double)k->report.pause_ns / 1e6);
    renew_consider(k);
}

/* The worker died. Which binary is next? */
void upgrade_death(struct keeper *k)
{
    bool on_trial = k->previous_exe >= 0 && clock_now_ns() - k->upgraded_ns < ROLLBACK_NS;
    k->take_over_deadline_ns = 0;
    k->binary_to_blame = on_trial || k->next_exe >= 0;
    if (k->upgrade != UPGRADE_NONE) {
        fail(k, "the old worker died meanwhile");
    } else if (k->next_exe >= 0) {
        const char *why =
            reload_is_handover(k)
                ? "the new worker died before it was ready: back to the old configuration"
                : "the new binary died before it was ready: back to the old one";
        log_error("upgrade", "%s", why);
        report_failure(k, why);
        exe_close(&k->next_exe);
        reload_handover_failed(k);
        k->failures = 0; /* the old binary has not failed: at once */
    } else if (on_trial && k->failures >= ROLLBACK_CRASHES) {
        log_error("upgrade", "the new binary keeps crashing: back to the old one");
        spare_discard(k);
        exe_close(&k->exe);
        k->exe = k->previous_exe;
        k->previous_exe = -1;
        k->renew.back = true;
        k->failures = 0;
    }
}

uint64_t upgrade_tick(struct keeper *k, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    if (k->upgrade != UPGRADE_NONE) {
        if (now >= k->upgrade_deadline_ns)
            fail(k, k->upgrade == UPGRADE_PREPARING ? "the new worker is not prepared in time"
                                                    : "the old worker does not hold still in time");
        else
            next = k->upgrade_deadline_ns;
    }
    if (k->take_over_deadline_ns) {
        if (now >= k->take_over_deadline_ns) {
            log_error("upgrade", "the new worker is not ready in time, killed");
            worker_kill(&k->worker);
            k->take_over_deadline_ns = 0;
        } else if (k->take_over_deadline_ns < next) {
            next = k->take_over_deadline_ns;
        }
    }
    if (k->old_deadline_ns) {
        if (now >= k->old_deadline_ns) {
            worker_kill(&k->old);
            k->old_deadline_ns = 0;
        } else if (k->old_deadline_ns < next) {
            next = k->old_deadline_ns;
        }
    }
    return next;
}

void upgrade_init(struct keeper *k)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    k->exe_path = g_strdup(path);
    k->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    k->next_exe = k->previous_exe = -1;
    k->next = k->old = (struct worker){ .pidfd = -1, .tombstone = -1 };
    k->next_exit = (struct source){ .ready = next_exit_ready, .fd = -1 };
    k->next_link = (struct source){ .ready = next_link_ready, .fd = -1 };
    k->old_exit = (struct source){ .ready = old_exit_ready, .fd = -1 };
}

void upgrade_deinit(struct keeper *k)
{
    worker_discard(&k->next);
    worker_discard(&k->old);
    exe_close(&k->exe);
    exe_close(&k->next_exe);
    exe_close(&k->previous_exe);
    g_clear_pointer(&k->exe_path, g_free);
}
