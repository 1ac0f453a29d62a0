/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of workers.
 *
 * A worker that dies is replaced at once; one that dies again before it has run well for a while is
 * replaced after 100 ms, 200 ms, 400 ms ... at most 10 s. One that others killed is replaced at once. Connections of the dead one are held until
 * the new one is ready; those it had not begun with are then given to the new one, and the others
 * closed in order: initiators find a target that answers. The new worker
 * gets GO, the leave to open storage, only when the tombstones of all earlier ones have hung up: a
 * killed process is gone before its io_uring is, and what its ring still writes to a disk must not
 * meet what the new worker writes there.
 *
 * Only the first start is different: a worker that refuses its configuration ends the keeper.
 */
#include "keeper/amend.h"
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "keeper/fence.h"
#include "keeper/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RAN_WELL             (10 * NS_PER_S) /* ready for so long: its death counts as a first one */
#define DELAY_FIRST_MS       100u
#define DELAY_MAX_MS         10000u
#define SPARED_DEATH         (NS_PER_S / 5) /* deaths by others' hands that cost nothing: five a second, ... */
#define SPARED_AT_ONCE       50             /* ... and so many in a burst */
#define FIRST_STARTS_MAX     5              /* crashes before any worker was ever ready */
#define REAP_AGAIN           (20 * NS_PER_MS)
#define EXIT_GRACE           (2 * NS_PER_S) /* from "I stop here" to really gone */
#define TOMBSTONE_STOP_WAIT  (5 * NS_PER_S)
#define MESSAGES_A_TURN      256

unsigned supervise_delay_ms(unsigned failures)
{
    if (failures <= 1)
        return 0;
    return failures > 8 ? DELAY_MAX_MS : MIN(DELAY_FIRST_MS << (failures - 2), DELAY_MAX_MS);
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

/* --- talking to the worker --- */

void supervise_link_update(struct keeper *k)
{
    if (k->worker_link.events == 0)
        return;
    uint32_t events = link_poll_events(&k->worker.link) & POLLOUT ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (events != k->worker_link.events)
        source_watch(k, &k->worker_link, k->worker.link.fd, events);
}

/* The link is of no more use: the worker has to be gone soon, or at once. */
static void link_broken(struct keeper *k, uint64_t grace_ns)
{
    source_watch(k, &k->worker_link, k->worker.link.fd, 0);
    if (grace_ns == 0) {
        worker_kill(&k->worker);
        return;
    }
    uint64_t at = clock_now_ns() + grace_ns;
    if (k->worker.kill_ns == 0 || at < k->worker.kill_ns)
        k->worker.kill_ns = at;
}

static void tell(struct keeper *k, const struct link_message *m)
{
    int r = link_send(&k->worker.link, m);
    if (r < 0) {
        if (r != -EPIPE)
            log_warning("worker", "cannot be told anything: %s", g_strerror(-r));
        link_broken(k, r == -EPIPE ? EXIT_GRACE : 0);
    }
    supervise_link_update(k);
}

static void go_if_alone(struct keeper *k)
{
    if (k->worker.state != WORKER_STARTING || k->worker.go_sent || tombstones_wait(k))
        return;
    k->worker.go_sent = true;
    if (k->ever_ready) /* of an upgrade */
        worker_hurry(&k->worker);
    source_watch(k, &k->worker_word, k->worker.tombstone, 0);
    accept_hand_over(k);
    k->unsettled = false;
    k->died = k->crashed = false;
    tell(k, &(struct link_message){ .type = LINK_GO,
                                    .fd = -1,
                                    .go.can = LINK_CAN_PATCH | LINK_CAN_REMOVE | LINK_CAN_HOLD });
}

/* What it has said of the dead one counts when it keeps the same books. */
static void word_ready(struct keeper *k, struct source *s, uint32_t events)
{
    char word;

    if (events & EPOLLIN && read(s->fd, &word, 1) == 1 && word == *LINK_NOTHING_LASTS) {
        log_debug("worker", "nothing of the dead one is under way");
        tombstones_are_harmless(k);
    }
    source_watch(k, s, s->fd, 0);
    go_if_alone(k);
}

/* How the one before it has died; whom to blame is in the state memory. */
static void tell_after(struct keeper *k)
{
    if (!k->died)
        return;
    if (k->same_binary && tombstones_wait(k))
        source_watch(k, &k->worker_word, k->worker.tombstone, EPOLLIN);
    tell(k, &(struct link_message){
                .type = LINK_AFTER,
                .fd = -1,
                .after = { k->crashed && !k->binary_to_blame, k->failures, k->unsettled } });
}

void supervise_tell(struct keeper *k, const struct link_message *m)
{
    tell(k, m);
}

void supervise_go(struct keeper *k)
{
    go_if_alone(k);
}

/* --- the end --- */

void supervise_finish_if_stopped(struct keeper *k)
{
    if (!k->stopping || k->worker.state != WORKER_NONE)
        return;
    if (list_empty(&k->tombstones)) {
        keeper_finish(k, k->exit_code);
    } else if (k->give_up_ns == 0) {
        k->give_up_ns = clock_now_ns() + TOMBSTONE_STOP_WAIT;
    }
}

/* --- messages of the worker --- */

/* Bound sockets can still be refused to listen: another process may have been faster. */
static bool listen_now(struct keeper *k)
{
    struct config_problems *problems = config_problems_new();
    int r = portals_listen(&k->portals, problems);

    config_problems_print(problems, stderr);
    config_problems_free(problems);
    return r == 0;
}

static void on_ready(struct keeper *k)
{
    struct worker *w = &k->worker;

    w->state = WORKER_READY;
    worker_hurry_over_soon(w);
    w->ready_ns = clock_now_ns();
    if (!k->ever_ready && !listen_now(k)) {
        k->exit_code = 1;
        keeper_stop(k);
        return;
    }
    uint32_t held = k->connections.used, closed = accept_pass_on(k);
    memory_drop_before(&k->memory, w->generation);
    accept_update(k);
    log_notice("worker", "ready generation=%u pid=%d after=%.3fs held-connections=%u closed=%u",
               w->generation, w->pid,
               seconds(w->ready_ns - (k->ever_ready ? w->started_ns : k->start_ns)), held, closed);
    k->ever_ready = true;
    if (k->down_ns)
        supervise_count_pause(&k->status.restarts, k->down_ns, w->ready_ns);
    k->down_ns = 0;
    upgrade_ready(k);
    fence_worker_ready(k);
    notify_send("READY=1\nSTATUS=Serving.");
}

void supervise_memfd_get(struct keeper *k, struct worker *w, const struct link_memfd_get *get)
{
    struct link_message m = { .type = LINK_MEMFD, .fd = -1 };
    bool existed = false;
    uint32_t number = 0;
    int r = memory_get(&k->memory, w->generation, get, &m.fd, &existed, &number);
    m.memfd = (struct link_memfd){ .bytes = get->bytes,
                                   .id = get->id,
                                   .error = r,
                                   .existed = existed,
                                   .number = number };
    if (w == &k->worker)
        tell(k, &m);
    else
        link_send(&w->link, &m); /* it asks for one thing at a time */
}

void supervise_count_pause(struct status_pauses *pauses, uint64_t begun_ns, uint64_t now_ns)
{
    pauses->count++;
    pauses->last_ns = now_ns - begun_ns;
    pauses->total_ns += pauses->last_ns;
}

static void fill_fence(const struct keeper *k, struct status_fence *f)
{
    struct fence_status s;
    fence_get_status(k, &s);
    *f = (struct status_fence){ .configured = s.configured,
                              .up = s.up,
                              .wanted = s.wanted,
                              .up_ns = s.up ? clock_now_ns() - s.up_since_ns : 0,
                              .up_total_ns = s.up_total_ns,
                              .raised = s.raised,
                              .renewed = s.renewed,
                              .lowered = s.lowered,
                              .failed = s.failed,
                              .timeouts = s.timeouts };
    g_strlcpy(f->plugin, s.plugin ? s.plugin : "", sizeof(f->plugin));
    g_strlcpy(f->reason, s.reason ? s.reason : "", sizeof(f->reason));
}

static void on_status_get(struct keeper *k)
{
    struct link_message m = { .type = LINK_STATUS, .fd = -1, .status = k->status };
    m.status.uptime_ns = clock_now_ns() - k->start_ns;
    m.status.generation = k->worker.generation;
    m.status.held = k->connections.used;
    m.status.held_max = MIN(k->connections.max, k->config->daemon.max_connections);
    g_strlcpy(m.status.version, HOLDFAST_VERSION, sizeof(m.status.version));
    fill_fence(k, &m.status.fence);
    tell(k, &m);
}

static void on_failed(struct keeper *k, const char *text)
{
    k->worker.failed = true;
    k->worker.kill_ns = clock_now_ns() + EXIT_GRACE;
    log_error("worker", "cannot start generation=%u: %s", k->worker.generation, text);
}

/* False: this is not what a worker may say now. */
static bool handle(struct keeper *k, const struct link_message *m)
{
    switch (m->type) {
    case LINK_READY:
        if (k->worker.state == WORKER_STOPPING)
            return true;
        if (k->worker.state != WORKER_STARTING || !k->worker.go_sent)
            return false;
        on_ready(k);
        return true;
    case LINK_FAILED:
        on_failed(k, m->failed.text);
        return true;
    case LINK_PREPARED:
        k->layout = m->prepared.layout;
        return true;
    case LINK_FROZEN:
        upgrade_frozen(k, m->frozen.clean);
        return true;
    case LINK_IMAGE:
        upgrade_image(k, m->fd);
        return true;
    case LINK_FREEZE_FAILED:
        upgrade_freeze_failed(k, m->failed.text);
        return true;
    case LINK_CLOSED:
        return connections_close(&k->connections, m->closed.slot, k->worker.generation) == 0;
    case LINK_MEMFD_GET:
        supervise_memfd_get(k, &k->worker, &m->memfd_get);
        return true;
    case LINK_STOPPED:
        return k->worker.state == WORKER_STOPPING;
    case LINK_AMEND:
        k->unsettled = k->unsettled || k->upgrade == UPGRADE_NONE;
        tell(k, &(struct link_message){ .type = LINK_AMENDED,
                                        .fd = -1,
                                        .amended.error = k->upgrade != UPGRADE_NONE
                                                             ? -EBUSY /* the next has read it */
                                                             : amend_size(k, &m->amend) });
        return true;
    case LINK_PONG:
        pulse_heard(k, m->ping.number);
        return true;
    case LINK_ASK:
        ask_answer(k, &m->ask);
        return true;
    case LINK_STATUS_GET:
        on_status_get(k);
        return true;
    case LINK_RELOAD_ASK:
        reload_ask(k, m);
        return true;
    case LINK_RELOAD_READY:
        reload_prepared(k, &m->verdict);
        return true;
    case LINK_RELOADED:
        reload_done(k, &m->verdict);
        return true;
    case LINK_MEMFD_DROP:
        if (strcmp(m->memfd_drop.name, LINK_ALL_OTHERS) == 0)
            memory_settle(&k->memory, k->worker.generation);
        else
            memory_drop(&k->memory, m->memfd_drop.name);
        return true;
    case LINK_MEMFD_REMOVE:
        memory_remove(&k->memory, m->memfd_drop.name);
        return true;
    case LINK_MEMFD_HOLD:
        memory_hold(&k->memory, k->worker.generation, m->memfd_drop.name);
        return true;
    default:
        return false;
    }
}

static void link_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct link_message m;
    int r = events & EPOLLOUT ? link_flush(&k->worker.link) : 0;

    for (int i = 0; r >= 0 && s->events != 0 && i < MESSAGES_A_TURN; i++) {
        r = link_receive(&k->worker.link, &m);
        if (r <= 0)
            break;
        bool fine = handle(k, &m);
        if (m.fd >= 0)
            close(m.fd);
        if (!fine)
            r = -EPROTO;
    }
    if (r < 0 && s->events != 0) {
        if (r != -EPIPE)
            log_error("worker", "speaks nonsense, killed generation=%u pid=%d: %s",
                      k->worker.generation, k->worker.pid, g_strerror(-r));
        link_broken(k, r == -EPIPE ? EXIT_GRACE : 0);
    }
    supervise_link_update(k);
    accept_update(k);
}

/* --- start, death, restart --- */

static void restart_later(struct keeper *k, unsigned delay)
{
    fence_worker_gone(k);
    k->restart_ns = clock_now_ns() + delay * NS_PER_MS;
    if (delay > 0)
        log_notice("worker", "next start in %u ms", delay);
}

void supervise_start(struct keeper *k)
{
    k->restart_ns = 0;
    if (k->ever_ready)
        worker_priority_hurry();
    bool spare = spare_take(k);
    int r = spare ? 0 : keeper_config(k);
    if (!spare && r >= 0)
        r = worker_start(&k->worker, &k->store, ++k->generation, k->died, r, k->control.fd,
                         k->args->file, k->exe);
    if (r == 0)
        r = source_watch(k, &k->worker_exit, k->worker.pidfd, EPOLLIN);
    if (r == 0)
        r = source_watch(k, &k->worker_link, k->worker.link.fd, EPOLLIN);
    if (r < 0) {
        log_error("worker", "cannot be started: %s", g_strerror(-r));
        worker_discard(&k->worker);
        k->failures++;
        if (k->ever_ready)
            restart_later(k, supervise_delay_ms(k->failures));
        else
            keeper_finish(k, 1);
        return;
    }
    log_info("worker", "%s generation=%u pid=%d", spare ? "taken from the reserve" : "started",
             k->generation, k->worker.pid);
    if (k->ever_ready)
        worker_hurry(&k->worker);
    tell_after(k);
    go_if_alone(k);
}

/* What it said before it died still counts. */
static void hear_last_words(struct keeper *k)
{
    struct link_message m;
    for (int i = 0; i < LINK_QUEUE_MAX && link_receive(&k->worker.link, &m) == 1; i++) {
        if (m.type == LINK_CLOSED)
            connections_close(&k->connections, m.closed.slot, k->worker.generation);
        else if (m.type == LINK_FAILED)
            on_failed(k, m.failed.text);
        else if (m.type == LINK_MEMFD_DROP)
            memory_drop(&k->memory, m.memfd_drop.name);
        else if (m.type == LINK_MEMFD_REMOVE)
            memory_remove(&k->memory, m.memfd_drop.name);
        if (m.fd >= 0)
            close(m.fd);
    }
}

/* Before any worker was ready: does this death end the keeper? */
static bool start_has_failed(const struct keeper *k, bool by_signal)
{
    return !k->ever_ready && (!by_signal || k->worker.failed || k->failures >= FIRST_STARTS_MAX);
}

/*
 * Killed by somebody else (an administrator, the kernel short of memory): that says nothing against it,
 * and its initiators wait. Not without a limit: memory can be short again and again.
 */
static bool is_spared(struct keeper *k, bool by_signal, int signal_number, uint64_t now)
{
    const struct worker *w = &k->worker;

    if (!by_signal || (signal_number != SIGKILL && signal_number != SIGTERM) || w->killed ||
        w->hung || w->failed || !k->ever_ready)
        return false;
    uint64_t due = MAX(k->spared_ns, now) + SPARED_DEATH;
    if (due - now > SPARED_AT_ONCE * SPARED_DEATH)
        return false;
    k->spared_ns = due;
    return true;
}

/* The worker's own fault, or that of what it was working on. */
static bool is_crash(bool by_signal, int code)
{
    return by_signal && (code == SIGSEGV || code == SIGABRT || code == SIGBUS || code == SIGILL ||
                         code == SIGFPE || code == SIGTRAP || code == SIGSYS);
}

static void on_death(struct keeper *k, bool by_signal, int code, const char *how, uint64_t now)
{
    const struct worker *w = &k->worker;

    if (k->stopping && !by_signal && code == 0) {
        log_info("worker", "stopped generation=%u", w->generation);
    } else if (!w->failed || k->ever_ready) {
        log_warning("worker", "ended by %s generation=%u pid=%d uptime=%.3fs connections-held=%u",
                    how, w->generation, w->pid, seconds(now - w->started_ns), k->connections.used);
    }
    if (w->ready_ns != 0 && now - w->ready_ns >= RAN_WELL)
        k->failures = 0;
    k->status.deaths += !k->stopping;
    g_strlcpy(k->status.how, k->stopping ? k->status.how : how, sizeof(k->status.how));
    bool spared = is_spared(k, by_signal, code, now);
    k->failures += !spared;
    k->died = true;
    k->crashed = w->hung || is_crash(by_signal, code);
    k->status.restarts.failures += k->crashed && !k->stopping;
    if (k->ever_ready && !k->stopping && !k->down_ns)
        k->down_ns = now;
    int exe = k->next_exe < 0 ? k->exe : -1; /* the next one's is not ours yet */
    upgrade_death(k);
    k->same_binary = k->exe == exe;
    reload_death(k);
    if (k->leaving)
        leave_now(k);
    else if (k->stopping)
        supervise_finish_if_stopped(k);
    else if (start_has_failed(k, by_signal))
        keeper_finish(k, 1);
    else
        restart_later(k, spared ? 0 : supervise_delay_ms(k->failures));
}

static void exit_ready(struct keeper *k, struct source *s, uint32_t events)
{
    g_autofree char *how = NULL;
    int tombstone = -1, code = 0;
    bool by_signal = false;

    hear_last_words(k);
    source_watch(k, &k->worker_link, k->worker.link.fd, 0);
    source_watch(k, &k->worker_word, k->worker_word.fd, 0);
    source_watch(k, s, s->fd, 0);
    int r = worker_reap(&k->worker, &tombstone, &by_signal, &code, &how);
    if (r == -EAGAIN) { /* it is dead, but somebody looks at it: a debugger */
        k->reap_ns = clock_now_ns() + REAP_AGAIN;
        return;
    }
    if (r < 0) {
        log_error("worker", "cannot be reaped: %s", g_strerror(-r));
        keeper_finish(k, 1);
        return;
    }
    tombstone_add(k, tombstone, k->worker.generation, g_steal_pointer(&k->worker.stored));
    memory_drop_before(&k->memory, k->worker.generation);
    accept_update(k);
    on_death(k, by_signal, code, how, clock_now_ns());
}

void supervise_stop(struct keeper *k)
{
    struct worker *w = &k->worker;

    k->restart_ns = 0;
    upgrade_abandon(k, "stopping");
    spare_discard(k);
    if (w->state == WORKER_NONE) {
        k->stopping = true;
        supervise_finish_if_stopped(k);
    } else if (k->stopping) {
        worker_kill(w); /* told for the second time */
    } else {
        unsigned ms =
            k->args->stop_timeout_ms != 0 ? k->args->stop_timeout_ms : KEEPER_STOP_TIMEOUT_MS;
        k->stopping = true;
        w->state = WORKER_STOPPING;
        w->kill_ns = clock_now_ns() + ms * NS_PER_MS;
        if (fence_is_up(k)) /* its initiators hear and say nothing */
            ms = MIN(ms, FENCE_STOP_MS);
        tell(k, &(struct link_message){ .type = LINK_STOP, .fd = -1, .stop.deadline_ms = ms });
    }
}

/* --- time --- */

static uint64_t kill_tick(struct keeper *k, uint64_t now)
{
    struct worker *w = &k->worker;
    if (w->state == WORKER_NONE || w->kill_ns == 0)
        return UINT64_MAX;
    if (now < w->kill_ns)
        return w->kill_ns;
    log_warning("worker", "does not end, killed generation=%u pid=%d", w->generation, w->pid);
    worker_kill(w);
    return UINT64_MAX;
}

static uint64_t restart_tick(struct keeper *k, uint64_t now)
{
    if (k->restart_ns != 0 && now >= k->restart_ns)
        supervise_start(k);
    return k->restart_ns == 0 ? UINT64_MAX : k->restart_ns;
}

static uint64_t reap_tick(struct keeper *k, uint64_t now)
{
    if (k->reap_ns != 0 && now >= k->reap_ns) {
        k->reap_ns = 0;
        exit_ready(k, &k->worker_exit, 0);
    }
    return k->reap_ns == 0 ? UINT64_MAX : k->reap_ns;
}

static uint64_t give_up_tick(struct keeper *k, uint64_t now)
{
    if (k->give_up_ns == 0)
        return UINT64_MAX;
    if (now < k->give_up_ns)
        return k->give_up_ns;
    log_warning("worker", "stopping although I/O of a dead worker is still running");
    keeper_finish(k, k->exit_code);
    return UINT64_MAX;
}

static uint64_t stall_tick(struct keeper *k, uint64_t now)
{
    if (k->worker_link.events == 0 || !k->worker.link.stalled)
        return UINT64_MAX;
    if (link_flush(&k->worker.link) < 0)
        link_broken(k, EXIT_GRACE);
    supervise_link_update(k);
    return k->worker.link.stalled ? now + LINK_STALL_RETRY_MS * NS_PER_MS : UINT64_MAX;
}

uint64_t supervise_tick(struct keeper *k, uint64_t now_ns)
{
    uint64_t next = restart_tick(k, now_ns); /* first: what it does may be due for the others */
    next = MIN(next, tombstones_tick(k, now_ns));
    next = MIN(next, upgrade_tick(k, now_ns));
    next = MIN(next, kill_tick(k, now_ns));
    next = MIN(next, worker_hurry_tick(&k->worker, now_ns));
    next = MIN(next, give_up_tick(k, now_ns));
    uint64_t reap = reap_tick(k, now_ns);
    next = MIN(next, reap);
    return MIN(next, stall_tick(k, now_ns));
}

void supervise_init(struct keeper *k)
{
    list_init(&k->tombstones);
    memory_init(&k->memory, &k->store);
    upgrade_init(k);
    spare_init(k);
    k->worker = (struct worker){ .pidfd = -1, .tombstone = -1 };
    k->worker_exit = (struct source){ .ready = exit_ready, .fd = -1 };
    k->worker_link = (struct source){ .ready = link_ready, .fd = -1 };
    k->worker_word = (struct source){ .ready = word_ready, .fd = -1 };
}

void supervise_deinit(struct keeper *k)
{
    spare_discard(k);
    worker_discard(&k->worker);
    upgrade_deinit(k);
    tombstones_deinit(k);
    memory_deinit(&k->memory);
}
