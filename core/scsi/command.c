/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of every command: opcode row, unit, unit attention, common checks (scsi_start), then its
 * own code, then scsi_finish(). Small answers are built here on the stack and scattered.
 */
#include "scsi/command.h"

#include <string.h>

#include "base/bytes.h"
#include "scsi/alua.h"
#include "scsi/medium.h"
#include "scsi/nexus_internal.h"
#include "scsi/opcode.h"
#include "scsi/once.h"
#include "scsi/read_write.h"
#include "scsi/scratch.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/unit.h"

static uint8_t range_state(const struct scsi_command *cmd)
{
    return atomic_load_explicit(&cmd->range.state, memory_order_relaxed);
}

static void clear(struct scsi_command *cmd)
{
    cmd->unit = NULL;
    cmd->data_out_bytes = cmd->buffer_bytes = cmd->data_in_bytes = 0;
    cmd->mapped = 0;
    cmd->iov = NULL;
    cmd->iov_count = 0;
    cmd->status = SCSI_GOOD;
    cmd->sense_bytes = 0;
    cmd->transfer_length = 0;
    cmd->aborted = false;
    cmd->lane = NULL;
    cmd->scratch = NULL;
    cmd->phase = SCSI_IDLE;
    cmd->stepping = cmd->parked = false;
    cmd->leave = NULL;
    if (__builtin_expect(range_state(cmd) != RANGE_HELD, 1)) /* scsi_resumed() */
        atomic_store_explicit(&cmd->range.state, RANGE_NONE, memory_order_relaxed);
    list_init(&cmd->scratch_waiter.link);
}

/* SCSI_ENDED: with the pending unit attention. */
static enum scsi_next attention(struct scsi_command *cmd, const struct scsi_nexus_unit *state)
{
    struct scsi_unit *unit = cmd->unit;
    uint8_t asc, ascq;

    if (atomic_load_explicit(&unit->attentions->head, memory_order_relaxed) ==
            state->attention_at &&
        !state->flags)
        return SCSI_EXECUTE;
    if (!scsi_nexus_attention(cmd->nexus, unit, /* take= */ false, &asc, &ascq))
        return SCSI_EXECUTE;
    if (cmd->unborn)
        return SCSI_LATER;
    scsi_note(cmd, NOTE_ATTENTION, (uint64_t)(asc << 8 | ascq));
    scsi_nexus_attention(cmd->nexus, unit, /* take= */ true, &asc, &ascq);
    scsi_check_condition(cmd, SENSE_UNIT_ATTENTION, (uint16_t)(asc << 8 | ascq));
    return SCSI_ENDED;
}

static bool unknown_opcode(struct scsi_command *cmd, bool known)
{
    if (known) /* the field pointer tells initiators apart: command or service action missing */
        scsi_bad_cdb(cmd, 1, 4);
    else
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    return false;
}

/* What the nexus is denied and which unit attentions reservations have for it, as of now. */
static void look_at_access(struct scsi_command *cmd, struct scsi_nexus_unit *state)
{
    if (__builtin_expect(atomic_load_explicit(&cmd->unit->home.version, memory_order_relaxed) !=
                             state->access_version,
                         0))
        scsi_access_refresh(cmd->nexus, cmd->unit, state);
}

static uint8_t denial(const struct scsi_command *cmd, const struct scsi_opcode *opcode,
                      const struct scsi_nexus_unit *state)
{
    uint8_t why = state->denied & opcode->denied_by;

    if (why && opcode->harmless && opcode->harmless(cmd))
        why &= (uint8_t) ~(DENY_READ | DENY_WRITE | DENY_LEGACY);
    return why;
}

/* The same, when the reservation that denies it may just have expired. */
static uint8_t denial_now(struct scsi_command *cmd, const struct scsi_opcode *opcode,
                          struct scsi_nexus_unit *state)
{
    uint8_t why = denial(cmd, opcode, state);

    if (!why || !scsi_access_expired(cmd->unit))
        return why;
    scsi_access_refresh(cmd->nexus, cmd->unit, state);
    return denial(cmd, opcode, state);
}

static void refuse_access(struct scsi_command *cmd, uint8_t why)
{
    if (why & (DENY_READ | DENY_WRITE | DENY_LEGACY))
        scsi_conflict(cmd);
    else
        scsi_alua_refuse(cmd);
}

/* What is the same for all commands; false: status is set. `state` is NULL without a unit. */
static bool common_checks(struct scsi_command *cmd, const struct scsi_opcode *opcode,
                          struct scsi_nexus_unit *state)
{
    const struct scsi_unit *unit = cmd->unit;
    uint8_t why;

    if (cmd->cdb_bytes < opcode->cdb_bytes || !scsi_opcode_exists(opcode, unit))
        return unknown_opcode(cmd, false);
    if (__builtin_expect(state && (state->denied & opcode->denied_by), 0) &&
        (why = denial_now(cmd, opcode, state))) {
        refuse_access(cmd, why);
        return false;
    }
    if (__builtin_expect(cmd->attribute >= SCSI_ACA, 0)) {
        /* There is no ACA condition (SAM-5 8.9.5). */
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_MESSAGE);
        return false;
    }
    if (cmd->cdb[opcode->cdb_bytes - 1] & 0x04) { /* NACA, and NORMACA is 0 */
        scsi_bad_cdb(cmd, (uint16_t)(opcode->cdb_bytes - 1), 2);
        return false;
    }
    if ((opcode->flags & OP_PROTECT) && (cmd->cdb[1] & 0xe0)) {
        scsi_bad_cdb(cmd, 1, 7);
        return false;
    }
    uint32_t not_ready = unit ? atomic_load_explicit(&unit->not_ready, memory_order_relaxed) : 0;
    if (__builtin_expect(not_ready != 0, 0) && !scsi_ready(cmd, not_ready))
        return false;
    if (opcode->flags & OP_WRITES) {
        bool software = atomic_load_explicit(&unit->mode, memory_order_relaxed) & SCSI_MODE_SWP;
        if (unit->read_only || software) {
            scsi_check_condition(cmd, SENSE_DATA_PROTECT,
                                 unit->read_only ? ASC_WRITE_PROTECTED
                                                 : ASC_SOFTWARE_WRITE_PROTECTED);
            return false;
        }
    }
    return true;
}

/* How much an answer may be, by the allocation length of the CDB. */
static uint32_t allocation(const struct scsi_command *cmd)
{
    const uint8_t *at = cmd->cdb + cmd->opcode->length_at;

    switch (cmd->opcode->length_bytes) {
    case 1:
        return at[0];
    case 2:
        return get_be16(at);
    case 3:
        return get_be24(at);
    case 4:
        return get_be32(at);
    default:
        return REPLY_MAX;
    }
}

static void start_reply(struct scsi_command *cmd)
{
    uint32_t most = allocation(cmd);

    if (most > REPLY_MAX)
        most = REPLY_MAX;
    cmd->buffer_bytes = scsi_in_limit(cmd) < most ? scsi_in_limit(cmd) : most;
}

static void execute_reply(struct scsi_command *cmd)
{
    uint8_t data[REPLY_MAX];
    int built = cmd->opcode->reply(cmd, data);

    if (built >= 0) {
        uint32_t most = allocation(cmd), bytes = (uint32_t)built < most ? (uint32_t)built : most;
        scsi_sending(cmd, bytes);
        scsi_iov_put(cmd, 0, data, cmd->data_in_bytes);
    }
    scsi_finish(cmd);
}

static void link_command(struct scsi_command *cmd)
{
    struct reactor *reactor = reactor_current();

    cmd->phase = SCSI_STARTED;
    cmd->started_ns = reactor->now_ns;
    cmd->nexus->active++;
    if (cmd->unit) {
        cmd->lane = &cmd->unit->lanes[reactor->index];
        cmd->lane->active++;
        list_append(&cmd->lane->commands, &cmd->lane_link);
    }
}

static enum scsi_next start(struct scsi_command *cmd)
{
    bool known;
    const struct scsi_opcode *opcode = scsi_opcode_find(cmd->cdb, &known);
    const struct scsi_lun_map *map = scsi_nexus_map(cmd->nexus);
    int lun = scsi_lun_decode(cmd->lun);
    int at = lun < 0 ? -1 : scsi_lun_map_find(map, (uint16_t)lun);
    struct scsi_nexus_unit *state = NULL;
    enum scsi_note noted = scsi_noted(cmd);
    bool passed = noted && noted != NOTE_ATTENTION; /* the checks, under an earlier worker */

    clear(cmd);
    if (at >= 0 && cmd->nexus->units[at].unit_id) {
        cmd->unit = map->units[at];
        state = &cmd->nexus->units[at];
        look_at_access(cmd, state);
        if (__builtin_expect(noted == NOTE_ATTENTION, 0) && !(opcode && (opcode->flags & OP_NO_UA)))
            return scsi_once_attention(cmd), SCSI_ENDED;
        if (!passed && !(opcode && (opcode->flags & OP_NO_UA))) {
            enum scsi_next next = attention(cmd, state);
            if (next != SCSI_EXECUTE)
                return next;
        }
    } else if (!opcode || !(opcode->flags & OP_ANY_LUN)) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
        return SCSI_ENDED;
    }
    if (!opcode) {
        unknown_opcode(cmd, known);
        return SCSI_ENDED;
    }
    if (__builtin_expect(cmd->unborn && (opcode->flags & (OP_ONCE | OP_ALONE)), 0))
        return SCSI_LATER;
    cmd->opcode = opcode;
    if (!passed && !common_checks(cmd, opcode, state))
        return SCSI_ENDED;
    if (opcode->reply)
        start_reply(cmd);
    else if (opcode->start(cmd) == SCSI_ENDED)
        return SCSI_ENDED;
    link_command(cmd);
    return SCSI_EXECUTE;
}

enum scsi_next scsi_start_inside(struct scsi_command *cmd, struct scsi_unit *unit,
                                 const struct scsi_opcode *opcode, struct scsi_nexus_unit *access)
{
    clear(cmd);
    cmd->unit = unit;
    cmd->opcode = opcode;
    if (!common_checks(cmd, opcode, access) || opcode->start(cmd) == SCSI_ENDED)
        return SCSI_ENDED;
    if (cmd->mapped) /* nobody asks how long its data is used */
        scsi_read_copied(cmd);
    link_command(cmd);
    return SCSI_EXECUTE;
}

enum scsi_next scsi_start(struct scsi_command *cmd)
{
    if (__builtin_expect(range_state(cmd) == RANGE_HELD, 0))
        cmd->range.reactor = reactor_current();
    enum scsi_next next = start(cmd);

    if (__builtin_expect(range_state(cmd) == RANGE_HELD, 0) && next == SCSI_ENDED)
        scsi_range_forget(cmd);
    return next;
}

static void set_open(struct scsi_lane *lane, uint32_t open)
{
    atomic_store_explicit(&lane->open, open, memory_order_release);
}

/* The quick way into a range (range.h): count, then look. */
bool scsi_claim(struct scsi_command *cmd)
{
    struct scsi_lane *lane = cmd->lane;

    if (!(cmd->opcode->flags & OP_RANGE))
        return true;
    if (cmd->opcode->flags & OP_ALONE)
        return false;
    uint32_t open = atomic_load_explicit(&lane->open, memory_order_relaxed);
    set_open(lane, open + 1);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(
            atomic_load_explicit(&cmd->unit->ranges.exclusive, memory_order_relaxed) == 0, 1)) {
        atomic_store_explicit(&cmd->range.state, RANGE_OPEN, memory_order_relaxed);
        return true;
    }
    set_open(lane, open);
    return false;
}

/* False: scsi_finish() comes again. */
static bool leave_range(struct scsi_command *cmd)
{
    switch (range_state(cmd)) {
    case RANGE_OPEN:
        set_open(cmd->lane, atomic_load_explicit(&cmd->lane->open, memory_order_relaxed) - 1);
        atomic_store_explicit(&cmd->range.state, RANGE_NONE, memory_order_relaxed);
        if (__builtin_expect(!list_empty(&cmd->lane->range_visitors), 0))
            scsi_range_left(cmd->lane);
        return true;
    case RANGE_NONE:
        return true;
    default:
        return scsi_range_release(cmd);
    }
}

/* What an earlier worker has begun (once.h). */
static void execute_again(struct scsi_command *cmd)
{
    if (scsi_noted(cmd) == NOTE_DONE)
        scsi_finish(cmd);
    else
        scsi_sanitize_rejoin(cmd);
}

void scsi_execute(struct scsi_command *cmd)
{
    cmd->phase = SCSI_EXECUTING;
    cmd->started_ns = reactor_current()->now_ns;
    if (cmd->opcode->reply)
        execute_reply(cmd);
    else if (__builtin_expect(scsi_noted(cmd) > NOTE_ATTENTION, 0))
        execute_again(cmd);
    else if (range_state(cmd) == RANGE_OPEN || range_state(cmd) == RANGE_HELD || scsi_claim(cmd) ||
             scsi_range_wait(cmd))
        cmd->opcode->execute(cmd);
}

/* Out of the lane and the nexus's count. */
static void unlink_command(struct scsi_command *cmd)
{
    cmd->phase = SCSI_IDLE;
    cmd->nexus->active--;
    if (cmd->lane) {
        cmd->lane->active--;
        list_remove(&cmd->lane_link);
    }
}

/* Times are those of the turns in which it began and ended: exact enough, and free. */
static void count(const struct scsi_command *cmd, struct scsi_counters *c)
{
    uint64_t took = reactor_current()->now_ns - cmd->started_ns;

    if (cmd->opcode->flags & OP_WRITES)
        scsi_counters_add(&c->way[SCSI_COUNT_WRITE], cmd->data_out_bytes, took);
    else if (cmd->opcode->execute == execute_read_write)
        scsi_counters_add(&c->way[SCSI_COUNT_READ], cmd->data_in_bytes, took);
    else
        counter_add(&c->others, 1);
    if (__builtin_expect(cmd->status != SCSI_GOOD, 0))
        counter_add(&c->errors, 1);
}

/* LUN RESET waits in the lane for the last aborted command. */
static void check_drains(struct scsi_lane *lane)
{
    struct list ready, *link;

    if (lane->aborted || list_empty(&lane->drains))
        return;
    list_init(&ready);
    list_splice(&ready, &lane->drains);
    while ((link = list_take(&ready))) {
        struct scsi_drain *drain = list_entry(link, struct scsi_drain, link);
        drain->done(drain);
    }
}

void scsi_finish(struct scsi_command *cmd)
{
    struct scsi_lane *lane = cmd->lane;
    bool aborted = cmd->aborted;

    if (!leave_range(cmd))
        return;
    if (lane && !aborted)
        count(cmd, lane->counters);
    if (__builtin_expect(cmd->scratch != NULL, 0))
        scsi_scratch_put(cmd);
    unlink_command(cmd);
    cmd->done(cmd);
    if (__builtin_expect(aborted && lane, 0)) {
        lane->aborted--;
        check_drains(lane);
    }
}

void scsi_abort(struct scsi_command *cmd)
{
    if (cmd->phase == SCSI_IDLE || cmd->aborted)
        return;
    cmd->aborted = true;
    if (cmd->lane)
        cmd->lane->aborted++;
    if (cmd->phase == SCSI_STARTED) {
        scsi_finish(cmd);
    } else if (cmd->leave) {
        if (cmd->leave(cmd))
            scsi_finish(cmd);
    } else if (cmd->parked) {
        return; /* whoever it waits for will find it aborted */
    } else if (scsi_scratch_leave(cmd)) {
        scsi_finish(cmd);
    } else if (cmd->unit && cmd->unit->backend->ops->cancel) {
        cmd->unit->backend->ops->cancel(cmd->unit->backend, &cmd->io);
    }
}

void scsi_fail(struct scsi_command *cmd, uint8_t key, uint8_t asc, uint8_t ascq)
{
    scsi_check_condition(cmd, key, (uint16_t)(asc << 8 | ascq));
    unlink_command(cmd);
}

void scsi_fail_full(struct scsi_command *cmd)
{
    scsi_status(cmd, SCSI_TASK_SET_FULL);
    unlink_command(cmd);
}

void scsi_unit_abort_if(struct scsi_unit *unit,
                        bool (*wanted)(const struct scsi_nexus *nexus, void *data), void *data)
{
    struct scsi_lane *lane = &unit->lanes[reactor_current()->index];
    struct list todo, *link;

    /* Aborting may end commands at once and, through done(), change the list: work on a copy. */
    list_init(&todo);
    list_splice(&todo, &lane->commands);
    while ((link = list_take(&todo))) {
        struct scsi_command *cmd = list_entry(link, struct scsi_command, lane_link);
        list_append(&lane->commands, link);
        if (wanted(cmd->nexus, data))
            scsi_abort(cmd);
    }
}

static bool is_nexus(const struct scsi_nexus *nexus, void *only)
{
    return !only || nexus == only;
}

void scsi_unit_abort_all(struct scsi_unit *unit, const struct scsi_nexus *only)
{
    scsi_unit_abort_if(unit, is_nexus, (void *)only);
}

void scsi_unit_drain(struct scsi_unit *unit, struct scsi_drain *drain)
{
    struct scsi_lane *lane = &unit->lanes[reactor_current()->index];

    list_append(&lane->drains, &drain->link);
    check_drains(lane);
}

unsigned scsi_unit_active(const struct scsi_unit *unit)
{
    return unit->lanes[reactor_current()->index].active;
}

uint64_t scsi_unit_oldest_ns(const struct scsi_unit *unit, uint64_t now_ns)
{
    const struct scsi_lane *lane = &unit->lanes[reactor_current()->index];

    list_for_each(link, &lane->commands)
    {
        const struct scsi_command *cmd = list_entry(link, struct scsi_command, lane_link);
        if (cmd->phase == SCSI_EXECUTING)
            return now_ns > cmd->started_ns ? now_ns - cmd->started_ns : 0;
    }
    return 0;
}

/*
 * Backends that want a kick after a batch, one list a thread. It is emptied by the transport at the
 * end of its turn, or by a task of the reactor's (I/O of later steps is submitted from completions,
 * when the transport has no reason to call).
 */
static __thread struct scsi_lane *kick_list;
static __thread struct reactor_task kick_task;

void scsi_kick(void)
{
    struct scsi_lane *lane = kick_list;

    kick_list = NULL;
    while (lane) {
        struct scsi_lane *next = lane->kick_next;
        lane->kick_wanted = false;
        lane->backend->ops->kick(lane->backend);
        lane = next;
    }
}

static void run_kick_task(struct reactor_task *task)
{
    scsi_kick();
}

void scsi_want_kick(struct scsi_lane *lane)
{
    lane->kick_wanted = true;
    lane->kick_next = kick_list;
    kick_list = lane;
    if (!kick_task.run)
        reactor_task_init(&kick_task, run_kick_task);
    reactor_defer(reactor_current(), &kick_task);
}
