/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The job of SANITIZE: over the whole unit, once or (OVERWRITE) several times, a piece at a time. Each
 * piece ends in a task of the reactor, so that other units are served in between.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "reactor/bufpool.h"
#include "scsi/block_limits.h"
#include "scsi/sanitize.h"
#include "scsi/step.h"

#define ERASE_BYTES (64u << 20) /* of one unmap or write zeroes */
#define AGAIN_NS    NS_PER_S    /* the storage does not take it now */

struct sanitize_job {
    struct scsi_unit *unit;
    struct backend_io io;
    struct iovec iov;
    struct reactor_task task;
    struct timer timer;
    struct bufpool_waiter waiter;
    struct buf *buffer;
    uint64_t bytes, total; /* of the unit; of all passes */
    uint64_t done, begun_at;
    uint64_t begun_ns;
    uint32_t filled_for; /* 1 + the pass that the buffer is filled for; 0: none */
    bool under_way, flushing, stopped;
    bool again; /* the piece has to be done again, later */
    bool no_unmap, no_zeroes;
};

static void go_on(struct sanitize_job *job)
{
    reactor_defer(reactor_current(), &job->task);
}

static void io_done(struct backend_io *io)
{
    go_on(container_of(io, struct sanitize_job, io));
}

static void submit(struct sanitize_job *job, enum backend_op op, uint64_t length)
{
    struct scsi_lane *lane = &job->unit->lanes[0];
    struct backend *backend = job->unit->backend;

    job->io.done = io_done;
    job->io.op = (uint8_t)op;
    job->io.flags = BACKEND_IO_UNASKED;
    if (op == BACKEND_WRITE_ZEROES && job->unit->thin)
        job->io.flags |= BACKEND_IO_UNMAP;
    job->io.offset = op == BACKEND_FLUSH ? 0 : job->done % job->bytes;
    job->io.length = length;
    job->io.iov = op == BACKEND_WRITE ? &job->iov : NULL;
    job->io.iov_count = op == BACKEND_WRITE;
    job->io.result = 0;
    job->under_way = true;
    if (backend->ops->kick && !lane->kick_wanted)
        scsi_want_kick(lane);
    backend->ops->submit(backend, &job->io);
}

/* ---- one piece ---- */

static void fill(struct sanitize_job *job, uint32_t pass)
{
    const struct sanitize_record *record = job->unit->sanitize.record;
    uint32_t block = 1u << job->unit->block_shift;
    bool invert = record->invert && (pass & 1);

    memset(job->buffer->data, 0, SCRATCH_BYTES);
    if (record->action == SANITIZE_OVERWRITE) {
        for (uint32_t i = 0; i < SCRATCH_BYTES; i++) {
            uint8_t byte = record->pattern[i % block % record->pattern_bytes];
            job->buffer->data[i] = invert ? (uint8_t)~byte : byte;
        }
    }
    job->filled_for = pass + 1;
}

static void buffer_ready(struct bufpool_waiter *waiter, struct buf *buffer)
{
    struct sanitize_job *job = container_of(waiter, struct sanitize_job, waiter);

    job->buffer = buffer;
    go_on(job);
}

static bool have_buffer(struct sanitize_job *job)
{
    struct bufpool *pool = reactor_current()->pool;

    if (!job->buffer)
        job->buffer = bufpool_take(pool, SCRATCH_BYTES);
    if (job->buffer)
        return true;
    bufpool_waiter_init(&job->waiter, buffer_ready);
    bufpool_wait(pool, &job->waiter, SCRATCH_BYTES);
    return false;
}

static void write_piece(struct sanitize_job *job, uint64_t rest)
{
    uint64_t max = job->unit->backend->info.max_io_bytes, block = 1u << job->unit->block_shift;
    uint32_t pass = (uint32_t)(job->done / job->bytes);
    uint64_t piece = rest < SCRATCH_BYTES ? rest : SCRATCH_BYTES;

    if (!have_buffer(job))
        return;
    if (job->filled_for != pass + 1)
        fill(job, pass);
    if (max && piece > max)
        piece = max < block ? block : max & ~(block - 1);
    job->iov = (struct iovec){ job->buffer->data, piece };
    submit(job, BACKEND_WRITE, piece);
}

static void erase_piece(struct sanitize_job *job, uint64_t rest)
{
    const struct scsi_unit *unit = job->unit;
    uint64_t granule = scsi_granularity(unit) << unit->block_shift, most = ERASE_BYTES;
    uint64_t rate = unit->sanitize.rate;

    if (rate && most > rate / 4) /* no long leaps when it shall be slow */
        most = rate / 4;
    if (most < granule)
        most = granule;
    most -= most % granule;
    uint64_t piece = rest < most ? rest : most;
    if (unit->thin && !job->no_unmap && piece >= granule)
        submit(job, BACKEND_UNMAP, piece - piece % granule);
    else if ((unit->backend->info.features & BACKEND_FEATURE_WRITE_ZEROES) && !job->no_zeroes)
        submit(job, BACKEND_WRITE_ZEROES, piece);
    else
        write_piece(job, rest);
}

/* ---- its way ---- */

static void end(struct sanitize_job *job, int result)
{
    struct scsi_unit *unit = job->unit;

    reactor_timer_stop(reactor_current(), &job->timer);
    job->buffer = buf_unref(job->buffer);
    unit->sanitize.job = NULL;
    g_free(job);
    sanitize_ended(unit, result);
}

/* The outcome of the piece before. False: the job has ended. */
static bool piece_done(struct sanitize_job *job)
{
    int result = job->io.result;

    if (!job->under_way)
        return true;
    job->under_way = false;
    if (result == -EOPNOTSUPP && job->io.op == BACKEND_UNMAP) {
        job->no_unmap = true;
    } else if (result == -EOPNOTSUPP && job->io.op == BACKEND_WRITE_ZEROES) {
        job->no_zeroes = true;
    } else if (result == -EAGAIN || (result < 0 && job->stopped)) {
        job->again = true;
        job->flushing = false;
    } else if (result < 0) {
        end(job, result);
        return false;
    } else {
        job->done += job->io.length;
    }
    return true;
}

static void report(struct sanitize_job *job)
{
    struct scsi_unit *unit = job->unit;
    uint64_t part = job->total >> 16 ? job->done / (job->total >> 16) : 0;

    atomic_store(&unit->sanitize.progress, (uint32_t)(part > 65535 ? 65535 : part));
    atomic_store(&unit->home.keep.data->sanitized, job->done);
}

/* Nanoseconds until the rate allows more. */
static uint64_t ahead(const struct sanitize_job *job)
{
    uint64_t rate = job->unit->sanitize.rate;

    if (!rate)
        return 0;
    uint64_t due = (uint64_t)((double)(job->done - job->begun_at) / (double)rate * NS_PER_S);
    uint64_t passed = reactor_current()->now_ns - job->begun_ns;
    return due > passed ? due - passed : 0;
}

/* All pieces are done. */
static void finish(struct sanitize_job *job)
{
    bool cached = job->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE;

    if (job->flushing || !cached) {
        end(job, 0);
        return;
    }
    job->flushing = true;
    submit(job, BACKEND_FLUSH, 0);
}

static void step_task(struct reactor_task *task)
{
    struct sanitize_job *job = container_of(task, struct sanitize_job, task);

    if (!piece_done(job))
        return;
    report(job);
    if (job->stopped) {
        job->buffer = buf_unref(job->buffer);
        return;
    }
    uint64_t wait = job->again ? AGAIN_NS : ahead(job), rest = job->bytes - job->done % job->bytes;
    job->again = false;
    if (wait)
        reactor_timer_start(reactor_current(), &job->timer, wait);
    else if (job->done >= job->total)
        finish(job);
    else if (job->unit->sanitize.record->action == SANITIZE_OVERWRITE)
        write_piece(job, rest);
    else
        erase_piece(job, rest);
}

static void timer_fired(struct timer *timer)
{
    go_on(container_of(timer, struct sanitize_job, timer));
}

void sanitize_begin(struct scsi_unit *unit, uint64_t done)
{
    const struct sanitize_record *record = unit->sanitize.record;
    struct sanitize_job *job = g_try_new0(struct sanitize_job, 1);

    if (!job) {
        sanitize_ended(unit, -ENOMEM);
        return;
    }
    job->unit = unit;
    job->bytes = atomic_load(&unit->blocks) << unit->block_shift;
    job->total = job->bytes * (record->action == SANITIZE_OVERWRITE ? record->count : 1);
    job->done = done < job->total ? done : 0;
    job->begun_at = job->done;
    job->begun_ns = reactor_current()->now_ns;
    list_init(&job->waiter.link);
    timer_init(&job->timer, timer_fired);
    reactor_task_init(&job->task, step_task);
    unit->sanitize.job = job;
    job->stopped = unit->sanitize.held;
    if (!job->stopped)
        go_on(job);
}

void sanitize_go_on(struct scsi_unit *unit)
{
    struct sanitize_job *job = unit->sanitize.job;

    unit->sanitize.held = false;
    if (!job || !job->stopped)
        return;
    job->stopped = job->again = false;
    job->filled_for = 0;
    if (!job->under_way)
        go_on(job);
}

void sanitize_stop(struct scsi_unit *unit)
{
    struct sanitize_job *job = unit->sanitize.job;

    if (!job)
        return;
    job->stopped = true;
    reactor_timer_stop(reactor_current(), &job->timer);
    bufpool_wait_cancel(reactor_current()->pool, &job->waiter);
    if (!job->under_way)
        job->buffer = buf_unref(job->buffer);
}
