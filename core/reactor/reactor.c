/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reactor's turn, its mailbox and its scratch memory (reactor.h).
 *
 * Mailbox: posters push onto a lock-free stack, the reactor takes the whole stack once a turn and
 * turns it round. Sleeping and waking is the usual handshake: the reactor says that it will sleep
 * and looks at the mailbox once more; a poster pushes and looks whether the reactor said so. All
 * four are sequentially consistent, so at least one of the two sees the other.
 */
#include "reactor/reactor.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define RING_ENTRIES_DEFAULT 1024
#define COMPLETIONS_A_TURN   512
#define STOP_PATIENCE_NS     (300 * NS_PER_MS)
#define SPINS_BETWEEN_CLOCKS 16
#define SCRATCH_BLOCK_BYTES  65536u
#define SCRATCH_BLOCKS_MAX   256u

struct reactor_scratch_block {
    struct reactor_scratch_block *next;
    size_t used;
    _Alignas(16) uint8_t data[SCRATCH_BLOCK_BYTES];
};

struct reactor_private {
    /* Written by other threads: on a cache line of their own. */
    _Alignas(64) struct reactor_message *mailbox;
    uint32_t sleeping;
    uint64_t busy_poll_ns;
    _Alignas(64) int wake_fd;
    struct ring_op wake;
    uint64_t wake_value;
    unsigned scratch_blocks;
    bool prepared, started, awaited, stopping, winding_down;
    struct reactor_message stop;
    pthread_t thread;
    sem_t go, ready;
    int ready_result;
    int cpu, nice;
    char name[16];
};

__thread struct reactor *reactor_of_thread;

/* ---- mailbox ---- */

void reactor_post(struct reactor *reactor, struct reactor_message *message)
{
    struct reactor_private *p = reactor->private_part;
    struct reactor_message *head = __atomic_load_n(&p->mailbox, __ATOMIC_RELAXED);
    do {
        message->next = head;
    } while (!__atomic_compare_exchange_n(&p->mailbox, &head, message, /* weak= */ true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (__atomic_load_n(&p->sleeping, __ATOMIC_SEQ_CST) &&
        __atomic_exchange_n(&p->sleeping, 0, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        while (write(p->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

void reactor_run_mailbox(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    struct reactor_message *stack, *queue = NULL;
    unsigned n = 0;
    if (!__atomic_load_n(&p->mailbox, __ATOMIC_RELAXED))
        return;
    stack = __atomic_exchange_n(&p->mailbox, NULL, __ATOMIC_ACQUIRE);
    while (stack) {
        struct reactor_message *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
        n++;
    }
    counter_add(&reactor->counters.messages, n);
    while (queue) {
        struct reactor_message *message = queue;
        queue = message->next;
        message->run(message);
    }
}

static void arm_wake(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    ring_read(reactor->ring, &p->wake, p->wake_fd, &p->wake_value, sizeof(p->wake_value), 0, 0);
}

static void wake_done(struct ring_op *op, int result)
{
    struct reactor *reactor = reactor_of_thread;
    (void)op;
    counter_add(&reactor->counters.wakeups, result > 0);
    if (!reactor->private_part->stopping)
        arm_wake(reactor);
}

/* ---- the turn ---- */

static bool run_deferred(struct reactor *reactor)
{
    unsigned n = 0;
    for (unsigned round = 0; round < REACTOR_ROUNDS && !list_empty(&reactor->deferred); round++) {
        struct list batch;
        list_init(&batch);
        list_splice(&batch, &reactor->deferred);
        for (struct list *link; (link = list_take(&batch)); n++) {
            struct reactor_task *task = list_entry(link, struct reactor_task, link);
            task->run(task);
        }
    }
    counter_add(&reactor->counters.deferred, n);
    bool more = !list_empty(&reactor->deferred);
    counter_add(&reactor->counters.carried, more);
    return more;
}

static _Noreturn void broken(const struct reactor *reactor, int error)
{
    log_error("reactor", "ring broken reactor=%u error=\"%s\"", reactor->index, strerror(-error));
    abort();
}

static void enter(struct reactor *reactor, uint64_t timeout_ns)
{
    int r = ring_enter(reactor->ring, timeout_ns);
    if (r < 0)
        broken(reactor, r);
}

static void submit(struct reactor *reactor)
{
    if (ring_queued(reactor->ring) || ring_wants_enter(reactor->ring))
        enter(reactor, RING_NO_WAIT);
}

static bool work_waits(struct reactor *reactor)
{
    return ring_ready(reactor->ring) ||
           __atomic_load_n(&reactor->private_part->mailbox, __ATOMIC_RELAXED);
}

/* ---- watches ---- */

bool reactor_busy_polls(const struct reactor *reactor)
{
    return __atomic_load_n(&reactor->private_part->busy_poll_ns, __ATOMIC_RELAXED);
}

bool reactor_watch(struct reactor *reactor, struct reactor_watch *watch)
{
    if (reactor->watches == REACTOR_WATCHES || !reactor_busy_polls(reactor))
        return false;
    watch->result = -EAGAIN;
    list_append(&reactor->watched, &watch->link);
    reactor->watches++;
    return true;
}

static void watch_remove(struct reactor *reactor, struct reactor_watch *watch)
{
    list_remove(&watch->link);
    reactor->watches--;
}

bool reactor_unwatch(struct reactor *reactor, struct reactor_watch *watch)
{
    if (list_empty(&watch->link) || watch->result != -EAGAIN)
        return false;
    watch_remove(reactor, watch);
    return true;
}

/* Tries each once; true: some have a result, for watches_done(). */
static bool watches_attempt(struct reactor *reactor)
{
    bool any = false;
    for (struct list *link = reactor->watched.next; link != &reactor->watched; link = link->next) {
        struct reactor_watch *watch = list_entry(link, struct reactor_watch, link);
        if (watch->result == -EAGAIN)
            watch->result = watch->attempt(watch);
        any |= watch->result != -EAGAIN;
    }
    return any;
}

/* done() may start or end watches: takes those with a result off first. */
static unsigned watches_done(struct reactor *reactor)
{
    struct reactor_watch *ready[REACTOR_WATCHES];
    unsigned n = 0;
    for (struct list *link = reactor->watched.next, *next; link != &reactor->watched; link = next) {
        struct reactor_watch *watch = list_entry(link, struct reactor_watch, link);
        next = link->next;
        if (watch->result == -EAGAIN)
            continue;
        watch_remove(reactor, watch);
        ready[n++] = watch;
    }
    for (unsigned i = 0; i < n; i++)
        ready[i]->done(ready[i], ready[i]->result);
    return n;
}

static void watches_arm(struct reactor *reactor)
{
    while (!list_empty(&reactor->watched)) {
        struct reactor_watch *watch = list_entry(reactor->watched.next, struct reactor_watch, link);
        watch_remove(reactor, watch);
        watch->arm(watch);
    }
}

/* ---- sleeping ---- */

/* Looks for work without sleeping; true: there is some. */
static bool busy_poll(struct reactor *reactor, uint64_t limit_ns, uint64_t next_timer)
{
    submit(reactor);
    uint64_t end = clock_now_ns() + limit_ns;
    if (next_timer < end)
        end = next_timer;
    do {
        for (unsigned i = 0; i < SPINS_BETWEEN_CLOCKS; i++) {
            if (work_waits(reactor) || watches_attempt(reactor))
                return true;
            if (ring_wants_enter(reactor->ring))
                enter(reactor, RING_NO_WAIT);
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#endif
        }
    } while (clock_now_ns() < end);
    return work_waits(reactor);
}

static void sleep_for_work(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    uint64_t next = timer_wheel_next(&reactor->timers), timeout = RING_FOREVER;
    uint64_t limit = __atomic_load_n(&p->busy_poll_ns, __ATOMIC_RELAXED);
    if (limit && busy_poll(reactor, limit, next))
        return;
    watches_arm(reactor);
    if (next != TIMER_NEVER) {
        uint64_t now = clock_now_ns();
        timeout = next > now ? next - now : RING_NO_WAIT;
    }
    __atomic_store_n(&p->sleeping, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->mailbox, __ATOMIC_SEQ_CST))
        timeout = RING_NO_WAIT;
    counter_add(&reactor->counters.sleeps, timeout != RING_NO_WAIT);
    enter(reactor, timeout);
    __atomic_store_n(&p->sleeping, 0, __ATOMIC_RELAXED);
}

static void scratch_reset(struct reactor *reactor)
{
    if (!reactor->scratch || ring_queued(reactor->ring))
        return;
    reactor->scratch = reactor->scratch_first;
    reactor->scratch->used = 0;
}

static void turn(struct reactor *reactor)
{
    reactor->now_ns = clock_now_ns();
    counter_add(&reactor->counters.turns, 1);
    reactor_run_mailbox(reactor);
    unsigned completions = ring_reap(reactor->ring, COMPLETIONS_A_TURN);
    if (reactor->watches && watches_attempt(reactor))
        completions += watches_done(reactor);
    counter_add(&reactor->counters.completions, completions);
    counter_add(&reactor->counters.timers, timer_wheel_run(&reactor->timers, reactor->now_ns));
    if (reactor->each_turn)
        reactor_defer(reactor, reactor->each_turn);
    bool more = run_deferred(reactor);
    const struct reactor_private *p = reactor->private_part;
    if (more || work_waits(reactor) || (p->stopping && !p->winding_down))
        submit(reactor);
    else
        sleep_for_work(reactor);
    scratch_reset(reactor);
}

/* ---- the thread ---- */

static void run_stop(struct reactor_message *message)
{
    container_of(message, struct reactor_private, stop)->stopping = true;
}

static void nothing(struct timer *timer)
{
    (void)timer;
}

static void wind_down(struct reactor *reactor)
{
    struct timer patience;
    uint64_t deadline = clock_now_ns() + STOP_PATIENCE_NS;
    reactor->private_part->winding_down = true;
    ring_cancel(reactor->ring, &reactor->private_part->wake);
    timer_init(&patience, nothing);
    timer_start(&reactor->timers, &patience, deadline);
    while (ring_outstanding(reactor->ring) && clock_now_ns() < deadline)
        turn(reactor);
    timer_stop(&reactor->timers, &patience);
    if (ring_outstanding(reactor->ring))
        log_warning("reactor", "stopped with operations in flight reactor=%u operations=%u",
                    reactor->index, ring_outstanding(reactor->ring));
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0 && errno == EINTR)
        ;
}

static void *reactor_thread(void *data)
{
    struct reactor *reactor = data;
    struct reactor_private *p = reactor->private_part;
    if (p->cpu >= 0 && p->cpu < CPU_SETSIZE) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(p->cpu, &set);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    }
    if (p->nice)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + p->nice);
    (void)pthread_setname_np(pthread_self(), p->name);
    reactor_of_thread = reactor;
    wait_for(&p->go);
    int r = p->started ? ring_enable(reactor->ring) : -ECANCELED;
    p->ready_result = r;
    bool awaited = p->awaited || !p->started;
    sem_post(&p->ready);
    if (r < 0 && !awaited)
        broken(reactor, r);
    if (r < 0)
        return NULL;
    arm_wake(reactor);
    while (!p->stopping)
        turn(reactor);
    wind_down(reactor);
    ring_leave(reactor->ring);
    return NULL;
}

int reactor_create(const struct reactor_options *options, struct reactor **ret_reactor)
{
    struct reactor *reactor = calloc(1, sizeof(*reactor));
    struct reactor_private *p = aligned_alloc(64, sizeof(*p));
    int r = -ENOMEM;
    if (!reactor || !p)
        goto fail_memory;
    memset(p, 0, sizeof(*p));
    reactor->private_part = p;
    reactor->index = options->index;
    reactor->now_ns = clock_now_ns();
    list_init(&reactor->deferred);
    list_init(&reactor->watched);
    timer_wheel_init(&reactor->timers, reactor->now_ns);
    ring_op_init(&p->wake, wake_done);
    sem_init(&p->go, 0, 0);
    sem_init(&p->ready, 0, 0);
    p->stop.run = run_stop;
    p->cpu = options->cpu;
    p->nice = options->nice;
    p->busy_poll_ns = options->busy_poll_ns;
    strncpy(p->name, options->name ? options->name : "reactor", sizeof(p->name) - 1);
    p->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (p->wake_fd < 0) {
        r = -errno;
        goto fail_memory;
    }
    unsigned entries = options->ring_entries ? options->ring_entries : RING_ENTRIES_DEFAULT;
    r = ring_create(entries, &reactor->ring);
    if (r >= 0 && options->tombstone_fd >= 0)
        r = ring_hold(reactor->ring, options->tombstone_fd);
    if (r < 0) {
        reactor_free(reactor);
        return r;
    }
    *ret_reactor = reactor;
    return 0;

fail_memory:
    free(p);
    free(reactor);
    return r;
}

int reactor_prepare(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&p->thread, NULL, reactor_thread, reactor);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    p->prepared = r == 0;
    return -r;
}

void reactor_go(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    p->started = true;
    sem_post(&p->go);
}

int reactor_start(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    int r = reactor_prepare(reactor);
    if (r < 0)
        return r;
    p->awaited = true;
    reactor_go(reactor);
    wait_for(&p->ready);
    if (p->ready_result < 0) {
        pthread_join(p->thread, NULL);
        p->prepared = p->started = false;
        return p->ready_result;
    }
    return 0;
}

void reactor_stop(struct reactor *reactor)
{
    struct reactor_private *p = reactor->private_part;
    if (!p->prepared)
        return;
    if (p->started)
        reactor_post(reactor, &p->stop);
    else
        sem_post(&p->go); /* it ends at once */
    pthread_join(p->thread, NULL);
    p->prepared = p->started = false;
}

struct reactor *reactor_free(struct reactor *reactor)
{
    if (!reactor)
        return NULL;
    struct reactor_private *p = reactor->private_part;
    reactor->ring = ring_destroy(reactor->ring);
    close(p->wake_fd);
    sem_destroy(&p->go);
    sem_destroy(&p->ready);
    for (struct reactor_scratch_block *b = reactor->scratch_first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(p);
    free(reactor);
    return NULL;
}

void reactor_set_busy_poll(struct reactor *reactor, uint64_t busy_poll_ns)
{
    __atomic_store_n(&reactor->private_part->busy_poll_ns, busy_poll_ns, __ATOMIC_RELAXED);
}

/* ---- scratch ---- */

static struct reactor_scratch_block *scratch_next(struct reactor *reactor)
{
    struct reactor_scratch_block *last = reactor->scratch, *block = last ? last->next : NULL;
    if (!block) {
        if (reactor->private_part->scratch_blocks == SCRATCH_BLOCKS_MAX)
            return NULL;
        block = malloc(sizeof(*block));
        if (!block)
            return NULL;
        block->next = NULL;
        reactor->private_part->scratch_blocks++;
        if (last)
            last->next = block;
        else
            reactor->scratch_first = block;
    }
    block->used = 0;
    reactor->scratch = block;
    return block;
}

void *reactor_scratch(struct reactor *reactor, size_t bytes)
{
    struct reactor_scratch_block *block = reactor->scratch;
    if (bytes > SCRATCH_BLOCK_BYTES)
        return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    if (!block || SCRATCH_BLOCK_BYTES - block->used < bytes) {
        block = scratch_next(reactor);
        if (!block)
            return NULL;
    }
    void *p = block->data + block->used;
    block->used += bytes;
    return p;
}

struct msghdr *reactor_msghdr(struct reactor *reactor, struct iovec *iov, unsigned count)
{
    struct msghdr *msg = reactor_scratch(reactor, sizeof(*msg));
    if (!msg)
        return NULL;
    memset(msg, 0, sizeof(*msg));
    msg->msg_iov = iov;
    msg->msg_iovlen = count;
    return msg;
}
