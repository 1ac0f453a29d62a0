/* SPDX-License-Identifier: BSD-3-Clause */
/* Exclusive block ranges; see range.h for the idea. */
#include "scsi/range.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scsi/opcode.h"
#include "scsi/step.h"
#include "scsi/unit.h"

static _Atomic bool have_membarrier;

/* This reactor's, by scratch_waiter, which waits for nothing meanwhile. */
static __thread struct list parked_here;

void scsi_ranges_prepare(void)
{
    if (!atomic_load(&have_membarrier))
        atomic_store(&have_membarrier,
                     syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
}

void scsi_ranges_init(struct scsi_ranges *ranges)
{
    atomic_init(&ranges->exclusive, 0);
    atomic_init(&ranges->taken, false);
    list_init(&ranges->list);
    scsi_ranges_prepare();
}

/* Every other thread of the process has passed a full barrier. */
static bool barrier(void)
{
    return atomic_load_explicit(&have_membarrier, memory_order_relaxed) &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static struct scsi_command *command_of(struct scsi_range *range)
{
    return container_of(range, struct scsi_command, range);
}

static bool try_take(struct scsi_ranges *ranges)
{
    return !atomic_exchange_explicit(&ranges->taken, true, memory_order_acquire);
}

static void put_back(struct scsi_ranges *ranges)
{
    atomic_store_explicit(&ranges->taken, false, memory_order_release);
}

static void set_open(struct scsi_lane *lane, int by)
{
    uint32_t now = atomic_load_explicit(&lane->open, memory_order_relaxed);
    atomic_store_explicit(&lane->open, now + (uint32_t)by, memory_order_release);
}

/* What an open command may touch: its range, or anything when the CDB has several. */
static void find_range(const struct scsi_command *cmd, uint64_t *ret_begin, uint64_t *ret_end)
{
    bool one = cmd->opcode->layout != CDB_OTHER;

    *ret_begin = one ? cmd->lba : 0;
    *ret_end = one ? cmd->lba + cmd->blocks : UINT64_MAX;
}

static bool overlap(const struct scsi_range *range, uint64_t begin, uint64_t end)
{
    return range->begin < end && begin < range->end;
}

/* Somebody in front of it in the list has to be waited for. */
static bool blocked(const struct scsi_ranges *ranges, const struct scsi_range *range)
{
    list_for_each(pos, &ranges->list) {
        const struct scsi_range *other = list_entry(pos, struct scsi_range, link);
        if (other == range)
            break;
        if ((range->exclusive || other->exclusive) && overlap(other, range->begin, range->end))
            return true;
    }
    return false;
}

static enum scsi_range_state state_of(const struct scsi_range *range)
{
    return atomic_load_explicit(&range->state, memory_order_relaxed);
}

static void set_state(struct scsi_range *range, enum scsi_range_state state)
{
    atomic_store_explicit(&range->state, (uint8_t)state, memory_order_relaxed);
}

/* The unit is being sanitized, since before the command was begun or since then; status is set. */
static bool refused(struct scsi_command *cmd)
{
    if (!(atomic_load(&cmd->unit->not_ready) & UNIT_SANITIZING))
        return false;
    scsi_sanitizing(cmd);
    return true;
}

static void park(struct scsi_command *cmd)
{
    if (!parked_here.next)
        list_init(&parked_here);
    list_append(&parked_here, &cmd->scratch_waiter.link);
    cmd->parked = true;
}

unsigned scsi_ranges_waiting_absent(void)
{
    unsigned count = 0;

    if (!parked_here.next)
        return 0;
    list_for_each(pos, &parked_here) {
        const struct scsi_unit *unit =
            list_entry(pos, struct scsi_command, scratch_waiter.link)->unit;
        count += atomic_load(&unit->home.keep.data->absent) != KEEP_THERE;
    }
    return count;
}

static void run(struct scsi_command *cmd)
{
    list_remove(&cmd->scratch_waiter.link);
    cmd->parked = false;
    if (cmd->aborted || refused(cmd))
        scsi_finish(cmd);
    else
        cmd->opcode->execute(cmd);
}

/* ---- the visit of the lanes ---- */

static bool overlaps_open(const struct scsi_lane *lane, const struct scsi_range *range)
{
    list_for_each(pos, &lane->commands) {
        const struct scsi_command *cmd = list_entry(pos, struct scsi_command, lane_link);
        uint64_t begin, end;
        if (state_of(&cmd->range) != RANGE_OPEN)
            continue;
        find_range(cmd, &begin, &end);
        if (overlap(range, begin, end))
            return true;
    }
    return false;
}

static void visit_message(struct reactor_message *message);

static void go_to(struct scsi_range *range, struct reactor *reactor)
{
    range->message.run = visit_message;
    reactor_post(reactor, &range->message);
}

/* From range->lane on; true: all lanes are passed and this is the command's reactor. */
static bool visit(struct scsi_range *range)
{
    struct scsi_unit *unit = command_of(range)->unit;

    for (; range->lane < unit->lane_count; range->lane++) {
        struct scsi_lane *lane = &unit->lanes[range->lane];
        struct reactor *reactor = scsi_unit_reactor(unit, range->lane);
        if (reactor == reactor_current()) {
            if (overlaps_open(lane, range)) {
                list_append(&lane->range_visitors, &range->parked);
                return false;
            }
        } else if (!range->ordered ||
                   atomic_load_explicit(&lane->open, memory_order_acquire) != 0) {
            go_to(range, reactor);
            return false;
        }
    }
    if (range->reactor == reactor_current())
        return true;
    go_to(range, range->reactor);
    return false;
}

static void visit_message(struct reactor_message *message)
{
    struct scsi_range *range = container_of(message, struct scsi_range, message);

    if (visit(range))
        run(command_of(range));
}

void scsi_range_left(struct scsi_lane *lane)
{
    struct list visitors, *link;

    list_init(&visitors);
    list_splice(&visitors, &lane->range_visitors);
    while ((link = list_take(&visitors))) {
        struct scsi_range *range = list_entry(link, struct scsi_range, parked);
        if (overlaps_open(lane, range))
            list_append(&lane->range_visitors, link);
        else
            go_to(range, reactor_current()); /* off this stack */
    }
}

/* It is held: whoever began before has to end. False: not yet. */
static bool drain(struct scsi_range *range)
{
    range->lane = 0;
    range->ordered = command_of(range)->unit->lane_count == 1 || barrier();
    return visit(range);
}

/* ---- the list ---- */

static void retry_task(struct reactor_task *task);

/* True: the command may run now. */
static bool enter(struct scsi_range *range)
{
    struct scsi_command *cmd = command_of(range);
    struct scsi_ranges *ranges = &cmd->unit->ranges;

    if (!range->exclusive) { /* counted first: an exclusive one that comes later will find it */
        set_open(cmd->lane, 1);
        atomic_signal_fence(memory_order_seq_cst);
    }
    if (!try_take(ranges)) {
        if (!range->exclusive)
            set_open(cmd->lane, -1);
        reactor_task_init(&range->task, retry_task);
        reactor_defer(range->reactor, &range->task);
        return false;
    }
    bool waits = blocked(ranges, range);
    if (range->exclusive || waits)
        list_append(&ranges->list, &range->link);
    if (range->exclusive)
        atomic_fetch_add_explicit(&ranges->exclusive, 1, memory_order_seq_cst);
    else if (waits)
        set_open(cmd->lane, -1);
    set_state(range, waits ? RANGE_WAITS : range->exclusive ? RANGE_HELD : RANGE_OPEN);
    put_back(ranges);
    if (waits)
        return false;
    return !range->exclusive || drain(range);
}

static void retry_task(struct reactor_task *task)
{
    struct scsi_range *range = container_of(task, struct scsi_range, task);

    if (command_of(range)->aborted || enter(range))
        run(command_of(range));
}

bool scsi_range_wait(struct scsi_command *cmd)
{
    struct scsi_range *range = &cmd->range;

    if (refused(cmd)) {
        scsi_finish(cmd);
        return false;
    }
    if ((cmd->opcode->flags & OP_ATOMIC) && !scsi_settle(cmd))
        return false;
    range->exclusive = cmd->opcode->flags & OP_ALONE;
    range->reactor = reactor_current();
    find_range(cmd, &range->begin, &range->end);
    list_init(&range->link);
    list_init(&range->parked);
    if (!enter(range)) {
        park(cmd);
        return false;
    }
    if (refused(cmd)) {
        scsi_finish(cmd);
        return false;
    }
    return true;
}

static void granted(struct reactor_message *message)
{
    struct scsi_range *range = container_of(message, struct scsi_range, message);

    if (!range->exclusive || command_of(range)->aborted || drain(range))
        run(command_of(range));
}

/* Who may go now that another has left; a chain through `next`. */
static struct scsi_range *take_ready(struct scsi_ranges *ranges)
{
    struct scsi_range *first = NULL, **end = &first;

    list_for_each(pos, &ranges->list) {
        struct scsi_range *range = list_entry(pos, struct scsi_range, link);
        if (state_of(range) != RANGE_WAITS || blocked(ranges, range))
            continue;
        set_state(range, RANGE_HELD);
        range->next = NULL;
        *end = range;
        end = &range->next;
    }
    return first;
}

static void grant(struct scsi_range *ready)
{
    while (ready) {
        struct scsi_range *next = ready->next; /* gone as soon as it is told */
        ready->message.run = granted;
        reactor_post(ready->reactor, &ready->message);
        ready = next;
    }
}

void scsi_range_hold(struct scsi_command *cmd)
{
    struct scsi_range *range = &cmd->range;
    struct scsi_ranges *ranges = &cmd->unit->ranges;

    find_range(cmd, &range->begin, &range->end);
    range->exclusive = true;
    range->held_in = ranges;
    list_init(&range->parked);
    list_init(&range->link);
    list_append(&ranges->list, &range->link);
    atomic_fetch_add(&ranges->exclusive, 1);
    set_state(range, RANGE_HELD);
}

void scsi_range_forget(struct scsi_command *cmd)
{
    struct scsi_range *range = &cmd->range;
    struct scsi_ranges *ranges = range->held_in;

    if (state_of(range) != RANGE_HELD || !ranges)
        return;
    while (!try_take(ranges)) /* whoever is at the list is there for a moment */
        ;
    list_remove(&range->link);
    atomic_fetch_sub_explicit(&ranges->exclusive, 1, memory_order_seq_cst);
    struct scsi_range *ready = take_ready(ranges);
    put_back(ranges);
    set_state(range, RANGE_NONE);
    range->held_in = NULL;
    grant(ready);
}

static void finish_task(struct reactor_task *task)
{
    scsi_finish(command_of(container_of(task, struct scsi_range, task)));
}

bool scsi_range_release(struct scsi_command *cmd)
{
    struct scsi_range *range = &cmd->range;
    struct scsi_ranges *ranges = &cmd->unit->ranges;

    if (!try_take(ranges)) {
        cmd->parked = true; /* nothing is left to be cancelled */
        reactor_task_init(&range->task, finish_task);
        reactor_defer(range->reactor, &range->task);
        return false;
    }
    list_remove(&range->link);
    if (range->exclusive)
        atomic_fetch_sub_explicit(&ranges->exclusive, 1, memory_order_seq_cst);
    struct scsi_range *ready = take_ready(ranges);
    put_back(ranges);
    set_state(range, RANGE_NONE);
    range->held_in = NULL;
    grant(ready);
    return true;
}
