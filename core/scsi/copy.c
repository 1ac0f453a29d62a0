/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EXTENDED COPY (LID1) at work: segment by segment, a piece at a time; see copy.h. Each piece ends in a
 * task of the reactor, so that others are served in between. A segment whose ends overlap is copied
 * from the side where nothing is lost, in pieces that do not overlap themselves: a piece that another
 * worker does again finds its source as it was.
 */
#include "scsi/copy.h"

#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crash_point.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define PIECE_MAX 262144u /* one buffer */

struct copy {
    struct scsi_command *cmd;
    struct scsi_command inside; /* the READ or WRITE of the piece */
    struct iovec iov;
    struct reactor_task task;
    struct bufpool_waiter waiter;
    struct list link; /* of this reactor's copies */
    bool still;
    struct buf *buffer;
    struct copy_end end; /* of `inside` */
    struct copy_list list;
    struct copy_status *status;
    unsigned segment;
    uint64_t bytes; /* of all segments before */
    /* The segment. */
    bool begun, backward;
    struct copy_segment what;
    uint64_t from, to, length, done;
    uint64_t apart; /* more than a piece may be; UINT64_MAX: the ends do not overlap */
    /* The piece: `piece` bytes from `at` on; the source's blocks before lie `skip` bytes before. */
    uint64_t at;
    uint32_t piece, skip;
    uint32_t source_block, destination_block;
    bool under_way, writing, stopping;
    bool waits; /* the unit of the next piece is held */
};

/* This reactor's. */
static __thread struct list copies;
static __thread unsigned still_count;
static __thread bool holding;

static void set_still(struct copy *c, bool still)
{
    still_count += (unsigned)still - (unsigned)c->still;
    c->still = still;
}

static void go_on(struct copy *c)
{
    reactor_defer(reactor_current(), &c->task);
}

/* ---- the end ---- */

static void end(struct copy *c)
{
    struct scsi_command *cmd = c->cmd;

    copy_status_end(cmd->unit, c->status, cmd);
    buf_unref(c->buffer);
    set_still(c, false);
    list_remove(&c->link);
    cmd->parked = false;
    cmd->leave = NULL;
    g_free(c);
    scsi_finish(cmd);
}

/* COPY ABORTED, with the number of the segment (SPC-4 6.4.5). */
static void fail(struct copy *c, uint16_t asc)
{
    struct scsi_cause cause = {
        .key = SENSE_COPY_ABORTED, .asc = asc, .has_command = true, .command = c->segment
    };
    scsi_check(c->cmd, &cause);
    end(c);
}

/* The piece has failed. */
static void fail_piece(struct copy *c)
{
    const struct scsi_command *inside = &c->inside;

    if (inside->status == SCSI_BUSY || inside->status == SCSI_TASK_SET_FULL) {
        c->cmd->status = inside->status;
        end(c);
        return;
    }
    uint16_t asc = 0;
    if (inside->status == SCSI_CHECK_CONDITION)
        asc = get_be16(inside->sense + (inside->sense[0] == 0x72 ? 2 : 12));
    /* What only concerns the piece's own CDB or unit has no place here. */
    fail(c, asc == ASC_SPACE_ALLOCATION_FAILED ? asc : ASC_THIRD_PARTY_FAILURE);
}

/* ---- a segment ---- */

static uint64_t size_of(const struct copy_end *end)
{
    return atomic_load(&end->unit->blocks) << end->unit->block_shift;
}

/* Where a range begins in bytes; false: it does not lie on the unit. */
static bool place(const struct copy_end *end, uint64_t lba, uint32_t offset, uint64_t length,
                  uint64_t *ret_at)
{
    uint64_t size = size_of(end);

    if (lba > atomic_load(&end->unit->blocks) || offset >= 1u << end->unit->block_shift)
        return false;
    *ret_at = (lba << end->unit->block_shift) + offset;
    return *ret_at <= size && length <= size - *ret_at;
}

static void find_overlap(struct copy *c, bool one_unit)
{
    uint64_t apart = c->from > c->to ? c->from - c->to : c->to - c->from;

    c->apart = UINT64_MAX;
    c->backward = false;
    if (!one_unit || apart >= c->length)
        return;
    c->apart = apart;
    c->backward = c->to > c->from;
}

/* Looks at both ends of the segment. False: the command has ended. */
static bool begin_segment(struct copy *c)
{
    const struct copy_segment *s = &c->what;
    struct copy_end from, to;

    copy_list_segment(c->cmd, &c->list, c->segment, &c->what);
    if (s->source >= c->list.cscds || s->destination >= c->list.cscds ||
        !copy_find(c->cmd, s->source, &from) || !copy_find(c->cmd, s->destination, &to)) {
        fail(c, ASC_UNREACHABLE_COPY_TARGET);
        return false;
    }
    c->source_block = 1u << from.unit->block_shift;
    c->destination_block = 1u << to.unit->block_shift;
    c->length = s->count;
    if (!s->in_bytes)
        c->length <<= (s->of_destination ? to : from).unit->block_shift;
    if (!s->in_bytes && (c->length % c->source_block || c->length % c->destination_block)) {
        fail(c, ASC_UNEXPECTED_INEXACT_SEGMENT);
        return false;
    }
    if (c->length > COPY_SEGMENT_BYTES_MAX ||
        !place(&from, s->source_lba, s->source_offset, c->length, &c->from) ||
        !place(&to, s->destination_lba, s->destination_offset, c->length, &c->to)) {
        fail(c, ASC_NONE);
        return false;
    }
    find_overlap(c, from.unit == to.unit);
    c->begun = true;
    return true;
}

static void end_segment(struct copy *c)
{
    c->segment++;
    c->bytes += c->length;
    c->done = 0;
    c->begun = false;
}

/* ---- how far it is, for another worker ---- */

/* Segment 16 bits, bytes of it that are done 48 bits. */
static void keep(struct copy *c)
{
    crash_point("copy");
    copy_status_report(c->status, c->segment, c->bytes + c->done);
    if (c->cmd->kept)
        c->cmd->kept->word = (uint64_t)c->segment << 48 | c->done;
    crash_point("copied");
}

static void resume(struct copy *c)
{
    struct scsi_kept *kept = c->cmd->kept;

    if (!kept)
        return;
    if (kept->begun) {
        unsigned segment = (unsigned)(kept->word >> 48);
        c->done = kept->word & ((1ull << 48) - 1);
        c->segment = segment <= c->list.segments ? segment : c->list.segments;
        c->bytes = c->status ? atomic_load(&c->status->bytes) - c->done : 0;
        return;
    }
    kept->word = 0;
    atomic_signal_fence(memory_order_release);
    kept->begun = 1;
}

/* ---- a piece ---- */

/* The next piece: up to a block's end where the destination does not begin with one, whole blocks
   otherwise, and less than the two ends are apart. */
static void choose(struct copy *c)
{
    uint32_t block = c->destination_block;
    uint64_t left = c->length - c->done;
    uint64_t edge = c->to + (c->backward ? left : c->done), over = edge % block;
    bool even = c->source_block == block && c->from % block == 0;
    uint64_t most = even ? PIECE_MAX : PIECE_MAX - 2 * MAX(c->source_block, block);
    uint64_t piece = MIN(left, most);

    if (over)
        piece = MIN(left, c->backward ? over : block - over);
    else if (piece >= block)
        piece &= ~(uint64_t)(block - 1);
    if (piece > c->apart)
        piece = c->apart >= block ? c->apart & ~(uint64_t)(block - 1) : c->apart;
    c->piece = (uint32_t)piece;
    c->at = c->backward ? left - piece : c->done;
    c->skip = (uint32_t)((c->from + c->at) % c->source_block);
}

static void piece_done(struct scsi_command *inside)
{
    struct copy *c = container_of(inside, struct copy, inside);

    go_on(c);
}

/* A copy that a held unit has itself got is under way there, and goes on. */
static bool is_held(const struct scsi_unit *unit)
{
    return atomic_load_explicit(&unit->not_ready, memory_order_acquire) & UNIT_HELD;
}

static void run(struct copy *c, const struct scsi_opcode *row, uint64_t lba, uint32_t blocks,
                uint32_t bytes)
{
    struct scsi_command *inside = &c->inside;

    memset(inside->cdb, 0, sizeof(inside->cdb));
    inside->done = piece_done;
    inside->nexus = &c->end.nexus;
    inside->cdb[0] = row->opcode;
    inside->cdb_bytes = 16;
    put_be64(inside->cdb + 2, lba);
    if (row == &copy_patch_row)
        put_be16(inside->cdb + COPY_PATCH_OFFSET,
                 (uint16_t)((c->to + c->at) % c->destination_block));
    else
        put_be32(inside->cdb + 10, blocks);
    inside->expects_in = !c->writing;
    inside->expects_out = c->writing;
    inside->expected_bytes = bytes;
    if (__builtin_expect(is_held(c->end.unit) && !is_held(c->cmd->unit), 0)) {
        c->under_way = false; /* the piece begins anew */
        c->waits = true;
        return;
    }
    if (scsi_start_inside(inside, c->end.unit, row, &c->end.access) == SCSI_ENDED) {
        go_on(c);
        return;
    }
    c->iov = (struct iovec){ c->buffer->data, bytes };
    inside->iov = &c->iov;
    inside->iov_count = 1;
    scsi_execute(inside);
}

/* The end may be gone since the segment began, or another. */
static bool find_end(struct copy *c, unsigned cscd, uint32_t block)
{
    if (copy_find(c->cmd, cscd, &c->end) && 1u << c->end.unit->block_shift == block)
        return true;
    fail(c, ASC_COPY_TARGET_NOT_REACHABLE);
    return false;
}

static void read_piece(struct copy *c)
{
    if (!find_end(c, c->what.source, c->source_block))
        return;
    uint64_t begin = (c->from + c->at) / c->source_block;
    uint64_t end_block = (c->from + c->at + c->piece + c->source_block - 1) / c->source_block;
    uint32_t blocks = (uint32_t)(end_block - begin);
    c->under_way = true;
    c->writing = false;
    run(c, scsi_opcode_lookup(0x88, SA_NONE), begin, blocks, blocks * c->source_block);
}

/* What was read goes to the beginning of the buffer. */
static void align(struct copy *c)
{
    if (c->skip)
        memmove(c->buffer->data, c->buffer->data + c->skip, c->piece);
}

static void write_piece(struct copy *c)
{
    uint64_t to = c->to + c->at;
    bool whole = to % c->destination_block == 0 && c->piece % c->destination_block == 0;

    align(c);
    if (!find_end(c, c->what.destination, c->destination_block))
        return;
    c->under_way = true;
    c->writing = true;
    run(c, whole ? scsi_opcode_lookup(0x8a, SA_NONE) : &copy_patch_row, to / c->destination_block,
        c->piece / c->destination_block, c->piece);
}

/* ---- its way ---- */

static void buffer_ready(struct bufpool_waiter *waiter, struct buf *buffer)
{
    struct copy *c = container_of(waiter, struct copy, waiter);

    c->buffer = buffer;
    go_on(c);
}

static bool have_buffer(struct copy *c)
{
    struct bufpool *pool = reactor_current()->pool;

    if (!c->buffer)
        c->buffer = bufpool_take(pool, PIECE_MAX);
    if (c->buffer)
        return true;
    bufpool_waiter_init(&c->waiter, buffer_ready);
    bufpool_wait(pool, &c->waiter, PIECE_MAX);
    return false;
}

/* The READ or WRITE has ended. False: so has the command. */
static bool take_piece(struct copy *c)
{
    if (!c->under_way)
        return true;
    c->under_way = false;
    if (c->inside.aborted || c->inside.status != SCSI_GOOD) {
        if (c->inside.aborted) /* the unit was reset */
            fail(c, ASC_NONE);
        else
            fail_piece(c);
        return false;
    }
    if (!c->writing) {
        write_piece(c);
        return false;
    }
    c->done += c->piece;
    keep(c);
    return true;
}

static void step(struct reactor_task *task)
{
    struct copy *c = container_of(task, struct copy, task);

    if (c->stopping) { /* then nothing is under way */
        end(c);
        return;
    }
    if (!take_piece(c))
        return;
    if (holding) {
        set_still(c, true);
        return;
    }
    while (c->segment < c->list.segments) {
        if (!c->begun && !begin_segment(c))
            return;
        if (c->done < c->length && c->apart != 0)
            break;
        end_segment(c);
        keep(c);
    }
    if (c->segment >= c->list.segments) {
        end(c);
    } else if (have_buffer(c)) {
        choose(c);
        read_piece(c);
    }
}

/* Aborted: what is under way comes to its end first. */
static bool leave(struct scsi_command *cmd)
{
    struct copy *c = cmd->left;

    c->stopping = true;
    bufpool_wait_cancel(reactor_current()->pool, &c->waiter);
    if (c->under_way && c->inside.phase != SCSI_IDLE)
        scsi_abort(&c->inside);
    else
        go_on(c);
    return false;
}

void scsi_copies_hold(bool still)
{
    holding = still;
    if (!copies.next)
        return;
    list_for_each(pos, &copies)
    {
        struct copy *c = list_entry(pos, struct copy, link);
        bool waits = !list_empty(&c->waiter.link);
        if (still && waits) { /* those who have the buffers stand still, too */
            bufpool_wait_cancel(reactor_current()->pool, &c->waiter);
            set_still(c, true);
        } else if (!still && c->still) {
            set_still(c, false);
            go_on(c);
        }
    }
}

void scsi_copies_go_on(void)
{
    if (!copies.next)
        return;
    list_for_each(pos, &copies)
    {
        struct copy *c = list_entry(pos, struct copy, link);
        if (c->waits) {
            c->waits = false;
            go_on(c);
        }
    }
}

unsigned scsi_copies_held(void)
{
    return still_count;
}

/* ---- the command ---- */

enum scsi_next start_extended_copy(struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 10);

    if (bytes == 0)
        return SCSI_EXECUTE;
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (bytes < COPY_HEADER || bytes > COPY_HEADER + COPY_DESCRIPTORS_MAX ||
        cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

/* A place for its status. False: there is none, status is set. */
static bool take_place(struct copy *c)
{
    struct scsi_command *cmd = c->cmd;
    bool runs, resumed = cmd->kept && cmd->kept->begun;

    if (c->list.forgotten)
        return true;
    c->status = copy_status_begin(cmd->unit, cmd->nexus->id, c->list.id, resumed, &runs);
    if (!c->status && runs)
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_OPERATION_IN_PROGRESS);
    else if (!c->status)
        cmd->status = SCSI_BUSY;
    return c->status != NULL;
}

void execute_extended_copy(struct scsi_command *cmd)
{
    struct copy_list list;

    if (cmd->data_out_bytes == 0 || !copy_list_read(cmd, &list)) {
        scsi_finish(cmd);
        return;
    }
    struct copy *c = g_try_new0(struct copy, 1);
    if (!c) {
        cmd->status = SCSI_BUSY;
        scsi_finish(cmd);
        return;
    }
    c->cmd = cmd;
    c->list = list;
    if (!take_place(c)) {
        g_free(c);
        scsi_finish(cmd);
        return;
    }
    list_init(&c->waiter.link);
    if (!copies.next)
        list_init(&copies);
    list_append(&copies, &c->link);
    reactor_task_init(&c->task, step);
    resume(c);
    cmd->parked = true;
    cmd->leave = leave;
    cmd->left = c;
    go_on(c);
}
