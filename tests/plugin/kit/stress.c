/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many I/Os at a time from two reactors, more than a queue is deep. A walker owns a few chunks of the
 * LUN, knows what is in each, and does one random thing after another to them, verifying every read.
 */
#include "kit.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#define WALKERS      160 /* a reactor */
#define STEPS        60  /* a walker */
#define CHUNKS       4   /* a walker */
#define CHUNK_BLOCKS 8

struct crowd;

struct walker {
    struct crowd *crowd;
    struct backend_io io;
    struct iovec iov;
    uint64_t start;        /* of its chunks, bytes */
    uint64_t seed[CHUNKS]; /* what is in a chunk: a pattern's seed, 0: zeroes, UNKNOWN */
    unsigned chunk;        /* of the I/O under way */
    uint64_t new_seed;
    unsigned steps;
};
#define UNKNOWN UINT64_MAX

/* The walkers of one reactor. */
struct crowd {
    struct reactor_message message;
    GRand *random;
    struct walker walkers[WALKERS];
    unsigned count;
    _Atomic unsigned running, steps;
    struct reactor_task kick; /* as the daemon does: once, at the end of a turn */
};

static uint64_t chunk_bytes(void)
{
    return CHUNK_BLOCKS * kit.block;
}

/* -------------------------------------------------------------------------------------- one step */

static void prepare_write(struct walker *w)
{
    w->io.op = BACKEND_WRITE;
    w->new_seed = g_rand_int_range(w->crowd->random, 1, G_MAXINT32);
    if (kit_has(BACKEND_FEATURE_FUA) && g_rand_int_range(w->crowd->random, 0, 8) == 0)
        w->io.flags = BACKEND_IO_FUA;
    kit_pattern(w->iov.iov_base, w->io.offset, chunk_bytes(), w->new_seed);
}

static void prepare_zeroes(struct walker *w, enum backend_op op)
{
    w->io.op = (uint8_t)op;
    w->io.flags = op == BACKEND_WRITE_ZEROES ? BACKEND_IO_UNMAP : 0;
    w->io.iov_count = 0;
    w->new_seed = 0;
}

static void prepare(struct walker *w)
{
    int dice = g_rand_int_range(w->crowd->random, 0, 100);
    w->chunk = (unsigned)g_rand_int_range(w->crowd->random, 0, CHUNKS);
    w->io.offset = w->start + w->chunk * chunk_bytes();
    w->io.length = chunk_bytes();
    w->io.flags = 0;
    w->io.iov = &w->iov;
    w->io.iov_count = 1;
    w->new_seed = w->seed[w->chunk];
    w->io.op = BACKEND_READ;
    if (w->seed[w->chunk] == UNKNOWN || dice < 40) {
        prepare_write(w);
    } else if (dice < 50 && kit_has(BACKEND_FEATURE_UNMAP | BACKEND_FEATURE_ZEROES_UNMAPPED)) {
        prepare_zeroes(w, BACKEND_UNMAP);
    } else if (dice < 60 && kit_has(BACKEND_FEATURE_WRITE_ZEROES)) {
        prepare_zeroes(w, BACKEND_WRITE_ZEROES);
    } else if (dice < 62 && kit_has(BACKEND_FEATURE_VOLATILE_CACHE)) {
        w->io.op = BACKEND_FLUSH;
        w->io.offset = w->io.length = 0;
        w->io.iov_count = 0;
    }
}

static void go(struct walker *w)
{
    prepare(w);
    kit.backend->ops->submit(kit.backend, &w->io);
    if (kit.backend->ops->kick)
        reactor_defer(reactor_current(), &w->crowd->kick);
}

static void kick(struct reactor_task *task)
{
    kit.backend->ops->kick(kit.backend);
}

static void check(struct walker *w)
{
    if (w->io.result != 0)
        kit_expect_done(w->io.result, "an I/O among many");
    if (w->io.op != BACKEND_READ)
        w->seed[w->chunk] = w->new_seed;
    else if (w->seed[w->chunk] == 0)
        kit_expect_zeroes(w->iov.iov_base, w->io.offset, chunk_bytes());
    else
        kit_expect_pattern(w->iov.iov_base, w->io.offset, chunk_bytes(), w->seed[w->chunk]);
}

static void on_done(struct backend_io *io)
{
    struct walker *w = container_of(io, struct walker, io);
    check(w);
    w->crowd->steps++;
    if (++w->steps < STEPS)
        go(w);
    else
        w->crowd->running--;
}

/* ------------------------------------------------------------------------------------- the crowd */

static void start_crowd(struct reactor_message *message)
{
    struct crowd *crowd = container_of(message, struct crowd, message);
    for (unsigned i = 0; i < crowd->count; i++)
        go(&crowd->walkers[i]);
}

static struct crowd *crowd_new(unsigned number, unsigned count)
{
    struct crowd *crowd = g_new0(struct crowd, 1);
    crowd->random = g_rand_new_with_seed(number + 1);
    crowd->count = crowd->running = count;
    crowd->message.run = start_crowd;
    reactor_task_init(&crowd->kick, kick);
    for (unsigned i = 0; i < count; i++) {
        struct walker *w = &crowd->walkers[i];
        w->crowd = crowd;
        w->start = (number * count + i) * CHUNKS * chunk_bytes();
        w->iov = (struct iovec){ kit_buffer(chunk_bytes()), chunk_bytes() };
        w->io.done = on_done;
        for (unsigned c = 0; c < CHUNKS; c++)
            w->seed[c] = UNKNOWN;
    }
    return crowd;
}

static void crowd_free(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++)
        free(crowd->walkers[i].iov.iov_base);
    g_rand_free(crowd->random);
    g_free(crowd);
}

/* Ten seconds without a step are the end. */
static void wait_for(const struct crowd *crowd)
{
    unsigned seen = 0, waited_ms = 0;
    for (; crowd->running > 0; waited_ms++) {
        if (crowd->steps != seen)
            waited_ms = 0;
        seen = crowd->steps;
        if (waited_ms > 10000)
            kit_no_answer("one of many I/Os at a time");
        g_usleep(1000);
    }
}

static void many_at_a_time(void)
{
    struct crowd *crowds[RIG_REACTORS];
    kit_open();
    bool writable = kit_writable();
    uint64_t room = kit.area / (RIG_REACTORS * CHUNKS * chunk_bytes());
    for (unsigned i = 0; writable && i < RIG_REACTORS; i++) {
        crowds[i] = crowd_new(i, (unsigned)MIN(room, WALKERS));
        reactor_post(kit.rig.reactors[i], &crowds[i]->message);
    }
    for (unsigned i = 0; writable && i < RIG_REACTORS; i++)
        wait_for(crowds[i]);
    kit_close(); /* after it nobody looks at the walkers any more */
    for (unsigned i = 0; writable && i < RIG_REACTORS; i++)
        crowd_free(crowds[i]);
}

/* --------------------------------------------------------------------------------------- cancel */

#define CANCELS 300

struct cancels {
    struct backend_io io[CANCELS];
    struct iovec iov[CANCELS];
    char *memory;
    unsigned answers[CANCELS];
    _Atomic unsigned left;
};

static struct cancels *cancels;

static void on_cancelled(struct backend_io *io)
{
    cancels->answers[io - cancels->io]++;
    cancels->left--;
}

static void submit_and_cancel(void *unused)
{
    const struct backend_ops *ops = kit.backend->ops;
    for (unsigned i = 0; i < CANCELS; i++) {
        cancels->io[i] = (struct backend_io){ .op = BACKEND_READ,
                                              .iov = &cancels->iov[i],
                                              .iov_count = 1,
                                              .offset = i * kit.block,
                                              .length = kit.block,
                                              .done = on_cancelled };
        ops->submit(kit.backend, &cancels->io[i]);
    }
    for (unsigned i = 0; i < CANCELS; i++)
        if (cancels->answers[i] == 0)
            ops->cancel(kit.backend, &cancels->io[i]);
    if (ops->kick)
        ops->kick(kit.backend);
}

static void cancelled_ones_are_answered_once(void)
{
    kit_open();
    cancels = g_new0(struct cancels, 1);
    cancels->memory = kit_buffer(CANCELS * kit.block);
    for (unsigned i = 0; i < CANCELS; i++)
        cancels->iov[i] = (struct iovec){ cancels->memory + i * kit.block, kit.block };
    cancels->left = CANCELS;
    rig_run(&kit.rig, 0, submit_and_cancel, NULL);
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (cancels->left > 0 && g_get_monotonic_time() < end)
        g_usleep(1000);
    if (cancels->left > 0)
        kit_no_answer("an I/O that was cancelled");
    kit_close(); /* an answer that came twice is a stray, or was counted */
    for (unsigned i = 0; i < CANCELS; i++) {
        int result = cancels->io[i].result;
        if (cancels->answers[i] != 1)
            kit_finding("stray-answer", "a cancelled I/O was answered %u times",
                        cancels->answers[i]);
        if (result != 0 && result != -ECANCELED)
            kit_finding("wrong-cancel", "a cancelled I/O ended with %s", g_strerror(-result));
    }
    free(cancels->memory);
    g_free(cancels);
}

static const struct kit_case cases[] = {
    { "/stress/many-at-a-time", many_at_a_time },
    { "/stress/cancelled-ones-are-answered-once", cancelled_ones_are_answered_once },
};

void kit_add_stress_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
