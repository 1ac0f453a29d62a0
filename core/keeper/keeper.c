/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper's event loop, its signals, start and stop. One event is taken from the kernel at a time:
 * handling one may end what another one belongs to, and the keeper has no throughput to lose.
 */
#include "keeper/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "keeper/fence.h"
#include "keeper/heritage.h"
#include "keeper/notify.h"
#include "keeper/session_share.h"
#include "keeper/state_lock.h"
#include "keeper/state.h"
#include "keeper/trial.h"
#include "keeper/system.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define STORE_FLUSH_MS 2000 /* at the end, for a service manager that is busy */

int source_watch(struct keeper *k, struct source *s, int fd, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = s };
    int op = events == 0 ? EPOLL_CTL_DEL : s->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (events == 0 && s->events == 0)
        return 0;
    if (epoll_ctl(k->epoll, op, fd, &e) < 0)
        return -errno;
    s->fd = fd;
    s->events = events;
    return 0;
}

void keeper_finish(struct keeper *k, int exit_code)
{
    k->exit_code = exit_code;
    k->done = true;
}

void keeper_stop(struct keeper *k)
{
    if (k->leaving || (!k->stopping && fence_delays_stop(k)))
        return;
    k->connections.silent = fence_is_up(k);
    if (!k->stopping) {
        log_notice("keeper", "stopping connections=%u", k->connections.used);
        notify_send("STOPPING=1\nSTATUS=Stopping.");
    }
    accept_deinit(k);
    supervise_stop(k);
}

/* --- signals --- */

/* A signal to the process and its group comes twice (timeout(1) does so) and means once. */
#define TOLD_ONCE_NS (500 * NS_PER_MS)

static void told_to_stop(struct keeper *k, uint32_t signal)
{
    uint64_t now_ns = clock_now_ns();

    if (k->told_by == signal && now_ns - k->told_ns < TOLD_ONCE_NS)
        return;
    k->told_by = signal;
    k->told_ns = now_ns;
    keeper_stop(k);
}

static void signal_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct signalfd_siginfo info;

    while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
        log_info("keeper", "signal %u (%s) from pid=%u uid=%u", info.ssi_signo,
                 g_strsignal((int)info.ssi_signo), info.ssi_pid, info.ssi_uid);
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            told_to_stop(k, info.ssi_signo);
            break;
        case SIGHUP:
            reload_begin(k);
            break;
        case SIGUSR1:
            leave_begin(k);
            break;
        case SIGUSR2:
            upgrade_begin(k, /* path= */ NULL, /* worker_only= */ false);
            break;
        default:
            break;
        }
    }
}

static int signals_init(struct keeper *k)
{
    static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* "ignore" would be inherited and would reap our workers */
    sigemptyset(&set);
    for (unsigned i = 0; i < G_N_ELEMENTS(handled); i++)
        sigaddset(&set, handled[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    k->signals = (struct source){ .ready = signal_ready, .fd = fd };
    return source_watch(k, &k->signals, fd, EPOLLIN);
}

/* --- start --- */

/* What every worker gets: exactly the text that was checked, whatever happens to the file. */
int config_seal(const char *text, size_t bytes, int *ret_fd)
{
    int fd = memfd_create("holdfast-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, text + done, bytes - done);
        if (n < 0) {
            int r = -errno;
            close(fd);
            return r;
        }
        done += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int keeper_config(struct keeper *k)
{
    int r = k->config_fd >= 0 ? 0 : config_seal(k->text, k->text_bytes, &k->config_fd);
    return r < 0 ? r : k->config_fd;
}

void keeper_config_forget(struct keeper *k)
{
    if (k->config_fd >= 0)
        close(k->config_fd);
    k->config_fd = -1;
}

/* Best effort: without privilege we stay an ordinary process. */
static void oom_protect(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "-1000", 5) < 0)
        log_debug("keeper", "no protection from the OOM killer: %s", g_strerror(errno));
    close(fd);
}

static bool bind_portals(struct keeper *k)
{
    struct config_problems *problems = config_problems_new();
    int r = portals_bind(&k->portals, k->config, /* before= */ NULL, &k->inherited, &k->store, problems);

    config_problems_print(problems, stderr);
    config_problems_free(problems);
    return r == 0;
}

static int descriptors_init(struct keeper *k)
{
    k->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (k->epoll < 0)
        return -errno;
    int r = config_seal(k->args->text, k->args->text_bytes, &k->config_fd);
    return r < 0 ? r : signals_init(k);
}

static void log_system_limits(const struct keeper *k)
{
    struct config_problems *problems = config_problems_new();
    system_check(k->args->config, problems);
    for (unsigned i = 0; i < config_problems_count(problems); i++)
        log_warning("keeper", "%s", config_problems_get(problems, i)->text);
    config_problems_free(problems);
}

static bool keeper_init(struct keeper *k, const struct keeper_args *args, int state_lock)
{
    *k = (struct keeper){ .args = args,
                          .epoll = -1,
                          .config_fd = -1,
                          .reserve_fd = -1,
                          .state_lock = state_lock,
                          .signals.fd = -1,
                          .control.fd = -1,
                          .renew.self = -1 };
    k->start_ns = clock_now_ns();
    reload_init(k);
    resume_begin(k);
    supervise_init(k);
    int r = descriptors_init(k); /* who sees a socket of ours can send a signal, too */
    if (r < 0) {
        log_error("keeper", "cannot start: %s", g_strerror(-r));
        return false;
    }
    if (!bind_portals(k) ||
        !control_socket_open(&k->control, args->config, &k->inherited, &k->store))
        return false;
    accept_init(k);
    resume_finish(k);
    renew_init(k);
    r = args->heritage != NULL ? adopt(k, args->heritage) : 0;
    if (r < 0) {
        log_error("keeper", "the worker cannot be adopted: %s", g_strerror(-r));
        return false;
    }
    log_system_limits(k);
    oom_protect();
    return true;
}

static void keeper_deinit(struct keeper *k)
{
    fence_close(k);
    accept_deinit(k);
    renew_deinit(k);
    supervise_deinit(k);
    reload_deinit(k);
    connections_deinit(&k->connections);
    control_socket_close(&k->control);
    inherit_end(&k->inherited, &k->store);
    k->config_stored = store_let_go(&k->store, k->config_stored);
    k->record_stored = store_let_go(&k->store, k->record_stored);
    record_close(&k->record);
    store_flush(&k->store, STORE_FLUSH_MS);
    int fds[] = { k->signals.fd, k->config_fd, k->epoll, k->state_lock };
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* --- the loop --- */

/* Milliseconds for epoll_wait(2), rounded up so that what is due is due when it returns. */
static int wait_ms(uint64_t next_ns, uint64_t now_ns)
{
    if (next_ns == UINT64_MAX)
        return -1;
    if (next_ns <= now_ns)
        return 0;
    return (int)MIN((next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, 60 * 1000);
}

/* Memory that was made for a worker, or another worker. */
static void record_if_changed(struct keeper *k)
{
    if (!k->memory.changed && k->record.generation == k->generation)
        return;
    k->memory.changed = false;
    record_write(k);
}

/* Does what is due everywhere; when something will be. */
static uint64_t tick(struct keeper *k, uint64_t now)
{
    const uint64_t due[] = {
        supervise_tick(k, now), session_share_tick(now),
        accept_tick(k, now),    fence_tick(k, now),  store_tick(&k->store, now),
        pulse_tick(k, now),     leave_tick(k, now),  notify_tick(now),
        trial_tick(k, now),     renew_tick(k, now),     spare_tick(k, now),
        worker_rests_tick(now),
    };
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < G_N_ELEMENTS(due); i++)
        next = MIN(next, due[i]);
    return next;
}

static void loop(struct keeper *k)
{
    while (!k->done) {
        uint64_t now = clock_now_ns();
        uint64_t next = tick(k, now);
        reload_tick(k);
        record_if_changed(k);
        if (k->done)
            break;
        struct epoll_event e;
        int n = epoll_wait(k->epoll, &e, 1, wait_ms(next, now));
        if (n < 0 && errno != EINTR) {
            log_error("keeper", "cannot wait: %s", g_strerror(errno));
            keeper_finish(k, 1);
        }
        if (n == 1) {
            struct source *s = e.data.ptr;
            s->ready(k, s, e.events);
        }
    }
}

/* The worker serves all the while. */
static void go_on(struct keeper *k)
{
    fence_worker_ready(k);
    accept_update(k);
    record_write(k);
    notify_send("READY=1\nSTATUS=Serving.");
}

/* An earlier binary may not have had it: then its sessions go on, whoever has it now. */
static bool lock_state(const struct keeper_args *args, int *ret_fd)
{
    const struct heritage *h = args->heritage;

    *ret_fd = h != NULL ? h->lock_fd : -1;
    return *ret_fd >= 0 || state_lock_take(args->config, ret_fd) || h != NULL;
}

int keeper_run(const struct keeper_args *args)
{
    struct keeper k;
    int exit_code = 1, state_lock;

    if (!lock_state(args, &state_lock))
        return 1;
    if (keeper_init(&k, args, state_lock)) {
        g_autofree char *listens = portals_describe(&k.portals);
        log_notice("keeper", "holdfastd " HOLDFAST_VERSION " %s config=%s targets=%u listen: %s",
                   args->heritage != NULL ? "has become another binary, goes on" : "starts",
                   args->file, args->config->target_count, listens);
        fence_start(&k);
        if (args->heritage == NULL)
            supervise_start(&k);
        else
            go_on(&k);
        loop(&k);
        exit_code = k.exit_code;
        if (k.stopping)
            log_notice("keeper", "stopped");
    } else if (args->heritage != NULL)
        adopt_go_back(args);
    keeper_deinit(&k);
    return exit_code;
}
