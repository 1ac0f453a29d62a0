/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions, tasks and connections out of an image; see image_import.h. */
#include "handover/image_import.h"

#include <string.h>
#include <sys/mman.h>

#include "scsi/keep_area.h"

#define TAKE(record, to, least) image_take(record, &(to), sizeof(to), least)

static struct session_record *session_at(uint32_t index)
{
    return arena_ptr(state_session_ref(index));
}

static struct connection_record *connection_at(uint32_t index)
{
    return arena_ptr(state_connection_ref(index));
}

/* A reference that travels: into a pool or the memory of a LUN. What lies behind it is looked at by
   whoever uses it (buffers_adopt(), stream_resume()). */
static bool is_outside(arena_ref ref)
{
    uint64_t arena = ref >> ARENA_OFFSET_BITS;
    return ref == 0 || (arena >= ARENA_POOL_FIRST && arena < ARENA_MAX);
}

static bool is_in_pool(arena_ref ref)
{
    uint64_t arena = ref >> ARENA_OFFSET_BITS;
    return arena >= ARENA_POOL_FIRST && arena <= ARENA_POOL_LAST;
}

static struct iscsi_params params_of(const struct image_params *p)
{
    return (struct iscsi_params){
        .initiator_max_recv = p->initiator_max_recv,
        .target_max_recv = p->target_max_recv,
        .max_burst_length = p->max_burst_length,
        .first_burst_length = p->first_burst_length,
        .max_outstanding_r2t = p->max_outstanding_r2t,
        .max_connections = p->max_connections,
        .time2wait = p->time2wait,
        .time2retain = p->time2retain,
        .header_digest = p->header_digest,
        .data_digest = p->data_digest,
        .initial_r2t = p->initial_r2t,
        .immediate_data = p->immediate_data,
        .data_pdu_in_order = p->data_pdu_in_order,
        .data_sequence_in_order = p->data_sequence_in_order,
        .error_recovery_level = p->error_recovery_level,
        .protocol_level = p->protocol_level,
        .task_reporting = p->task_reporting,
    };
}

/* ---- places ---- */

static bool moves(const struct image_import *in)
{
    return in->from.reactors != in->head->reactors || in->from.pool_mib != in->head->pool_mib;
}

/* The pool of the reactor that the session lives on. */
static unsigned pool_of(const struct image_import *in, const struct session_record *r)
{
    return r->discovery ? in->head->reactors : r->engine;
}

/* With another number of reactors they are dealt out in turn. */
static uint32_t engine_of(const struct image_import *in, const struct image_session *from)
{
    return in->from.reactors == in->head->reactors ? from->engine
                                                   : in->sessions % in->head->reactors;
}

static bool is_session_used(const struct image_import *in, uint32_t index)
{
    return *state_session_used(index) != 0;
}

static bool is_connection_used(const struct image_import *in, uint32_t index)
{
    return *state_connection_used(in->head->sessions, index) != 0;
}

/*
 * Our record for the one that the old worker had at `index`, of `old` places: the same where there is one.
 * NULL and *ret_index, or why not.
 */
static const char *place_of(const struct image_import *in, GHashTable *placed, uint32_t index,
                            uint32_t old, uint32_t ours,
                            bool (*is_used)(const struct image_import *in, uint32_t index),
                            uint32_t *ret_index)
{
    uint32_t at = index;

    if (index >= (old ? old : ours) || g_hash_table_contains(placed, GUINT_TO_POINTER(index)))
        return "it has an impossible place";
    if (at >= ours || is_used(in, at))
        for (at = 0; at < ours && is_used(in, at);)
            at++;
    if (at == ours)
        return "there are more of them than max-connections allows";
    g_hash_table_insert(placed, GUINT_TO_POINTER(index), GUINT_TO_POINTER(at + 1));
    *ret_index = at;
    return NULL;
}

/* ---- a session ---- */

static const char *take_session(struct image_import *in, const struct image_record *record)
{
    struct image_session from;

    if (!TAKE(record, from, IMAGE_LEAST_SESSION) || from.initiator[IMAGE_NAME - 1] ||
        from.target[IMAGE_NAME - 1] || from.peer[IMAGE_PLACE - 1])
        return "a session is cut off";
    if (!from.window || from.window > STATE_WINDOW_MAX ||
        from.touched > from.window + STATE_TASKS_EXTRA)
        return "a session has an impossible window";
    uint32_t index;
    const char *why = place_of(in, in->session_index, from.index, in->from.session_places,
                               in->head->sessions, is_session_used, &index);
    if (why)
        return why;
    struct session_record *r = session_at(index);
    r->tsih = from.tsih;
    r->portal_group_tag = from.portal_group_tag;
    memcpy(r->isid, from.isid, sizeof(r->isid));
    r->discovery = from.discovery != 0;
    r->window = from.window;
    r->engine = engine_of(in, &from);
    r->touched = from.touched;
    r->nexus_id = from.nexus_id;
    r->params = params_of(&from.params);
    g_strlcpy(r->initiator, from.initiator, sizeof(r->initiator));
    g_strlcpy(r->target, from.target, sizeof(r->target));
    g_strlcpy(r->peer, from.peer, sizeof(r->peer));
    *state_session_used(index) = 1;
    in->session = r;
    in->tasks_max = from.touched;
    in->task = NULL;
    in->sessions++;
    return NULL;
}

static const char *take_nexus_unit(struct image_import *in, const struct image_record *record)
{
    struct image_nexus_unit from;

    if (!in->session || !TAKE(record, from, IMAGE_LEAST_NEXUS_UNIT) || from.index >= SCSI_LUNS_MAX)
        return "what a nexus has of a unit does not fit";
    struct scsi_nexus_unit *units = in->session->nexus_units;
    units[from.index] = (struct scsi_nexus_unit){
        .unit_id = from.unit_id,
        .attention_at = from.attention_at,
        .prevents = from.prevents,
        .lun = from.lun,
        .flags = from.flags,
        .serial = from.serial,
    };
    for (uint32_t i = from.index; i-- > 0 && !units[i].unit_id && !units[i].lun;)
        units[i].lun = from.lun; /* one that it does not see: in use all the same */
    return NULL;
}

static const char *take_session_counters(struct image_import *in, const struct image_record *record)
{
    struct session_counters *c = in->session ? &in->session->counters : NULL;

    if (c && TAKE(record, *c, 0) && record->bytes < sizeof(*c))
        c->executed = c->latency_ns = 0; /* what is counted beside them begins now */
    return NULL;
}

/* ---- a task ---- */

static const char *take_task(struct image_import *in, const struct image_record *record)
{
    struct image_task from;

    if (!in->session || !TAKE(record, from, IMAGE_LEAST_TASK) || from.index >= in->tasks_max ||
        !from.done_pos)
        return "a task does not fit";
    struct task_record *r = &in->session->task[from.index];
    if (r->done_pos)
        return "a task comes twice";
    bool fits = from.answer_in_small ? from.answer_data < STATE_SMALL_BYTES &&
                                           from.answer_bytes <= STATE_SMALL_BYTES - from.answer_data
                                     : is_outside(from.answer_data);
    if (!fits)
        return "an answer lies where it cannot";
    r->born_pos = from.born_pos;
    r->done_pos = from.done_pos;
    r->lun = from.lun;
    r->answer_data = from.answer_in_small ? arena_ref_of(ARENA_STATE, r->small + from.answer_data)
                                          : from.answer_data;
    r->itt = from.itt;
    r->cmd_sn = from.cmd_sn;
    r->expected_bytes = from.expected_bytes;
    r->answer_bytes = from.answer_bytes;
    r->opcode = from.opcode;
    r->flags = from.flags;
    r->connection = from.connection;
    r->kind = from.kind;
    r->answer_next_status = from.answer_next_status;
    r->cdb_bytes = from.cdb_bytes;
    r->begun = from.begun;
    memcpy(r->cdb, from.cdb, sizeof(r->cdb));
    memcpy(r->answer, from.answer, sizeof(r->answer));
    in->task = r;
    in->transfers = 0;
    in->answer = 0;
    if (moves(in) && !from.answer_in_small && is_in_pool(from.answer_data)) {
        in->answer = from.answer_data; /* its buffers follow */
        r->answer_data = 0;
    }
    return NULL;
}

static const char *take_transfer(struct image_import *in, const struct image_record *record)
{
    struct image_transfer from;

    if (!in->task || in->transfers == 2 || !TAKE(record, from, IMAGE_LEAST_TRANSFER))
        return "the progress of a task does not fit";
    in->task->transfer[in->transfers++] = (struct state_transfer){
        .rx_pos = from.rx_pos,
        .tx_pos = from.tx_pos,
        .seq = from.seq,
        .received = from.received,
        .data_sn = from.data_sn,
        .sequence_end = from.sequence_end,
        .r2t_offset = from.r2t_offset,
        .r2t_sent = from.r2t_sent,
        .r2t_done = from.r2t_done,
        .sent = from.sent,
        .data_in_sn = from.data_in_sn,
        .unsolicited = from.unsolicited,
        .segment_open = from.segment_open,
        .fault = from.fault,
        .fault_key = from.fault_key,
        .fault_asc = from.fault_asc,
        .fault_ascq = from.fault_ascq,
    };
    return NULL;
}

/* The answer of the task may lie in it. */
static const char *move_buffer(struct image_import *in, struct image_buffer *from)
{
    arena_ref before = from->ref;
    const char *why =
        image_move_buffer(in->move, pool_of(in, in->session), before, from->bytes, &from->ref);

    if (!why && in->answer >= before && in->answer - before < from->bytes)
        in->task->answer_data = from->ref + (in->answer - before);
    return why;
}

static const char *take_buffer(struct image_import *in, const struct image_record *record)
{
    struct image_buffer from;

    if (!in->task || in->task->buffers == STATE_TASK_BUFFERS ||
        !TAKE(record, from, IMAGE_LEAST_BUFFER) || !from.ref || !is_outside(from.ref))
        return "a buffer does not fit";
    if (moves(in)) {
        const char *why = move_buffer(in, &from);
        if (why)
            return why;
    }
    in->task->buffer[in->task->buffers] = from.ref;
    in->task->buffer_bytes[in->task->buffers++] = from.bytes;
    return NULL;
}

static const char *take_small(struct image_import *in, const struct image_record *record)
{
    if (!in->task || record->bytes > STATE_SMALL_BYTES)
        return "the small bytes of a task do not fit";
    memcpy(in->task->small, record->body, record->bytes);
    return NULL;
}

/* ---- a connection ---- */

/* The one before is whole; its queue ends where it should? */
static const char *end_connection(struct image_import *in)
{
    struct connection_record *r = in->connection;

    in->connection = NULL;
    return r && r->stream.hot[0].tx_last && in->send_end != r->stream.hot[0].tx_tail
               ? "what is to be sent has a hole"
               : NULL;
}

static const char *take_connection(struct image_import *in, const struct image_record *record)
{
    struct image_connection from;
    const char *why = end_connection(in);

    if (why)
        return why;
    if (!TAKE(record, from, IMAGE_LEAST_CONNECTION) || from.peer[IMAGE_PLACE - 1] ||
        from.portal[IMAGE_PLACE - 1])
        return "a connection is cut off";
    uint32_t session =
        GPOINTER_TO_UINT(g_hash_table_lookup(in->session_index, GUINT_TO_POINTER(from.session)));
    if (!session || from.number >= STATE_CONNECTIONS_PER_SESSION)
        return "a connection has no session";
    uint32_t index;
    why = place_of(in, in->connection_index, from.index, in->from.connection_places,
                   in->head->connections, is_connection_used, &index);
    if (why)
        return why;
    struct connection_record *r = connection_at(index);
    r->slot = from.slot;
    r->session = session - 1;
    r->blames = from.blames;
    r->blamed_pos = from.blamed_pos;
    r->full = 1;
    r->leave.with = from.leaves ? index + 1 : 0;
    r->leave.session = from.leaves == IMAGE_LEAVES_WITH_SESSION;
    r->cid = from.cid;
    r->number = from.number;
    r->nop_interval_ns = from.nop_interval_ns;
    r->nop_timeout_ns = from.nop_timeout_ns;
    r->params = params_of(&from.params);
    memcpy(r->segment_bhs, from.segment_bhs, sizeof(r->segment_bhs));
    g_strlcpy(r->peer, from.peer, sizeof(r->peer));
    g_strlcpy(r->portal, from.portal, sizeof(r->portal));
    r->stream.rx_bias = from.rx_bias;
    r->stream.tx_bias = from.tx_bias;
    struct stream_hot *hot = &r->stream.hot[0];
    hot->rx_parsed = from.rx_parsed;
    hot->window_base = from.window_base;
    hot->tx_tail = from.tx_tail;
    hot->direct_bytes = from.direct_bytes;
    memcpy(hot->number, from.numbers, sizeof(hot->number));
    *state_connection_used(in->head->sessions, index) = 1;
    in->connection = r;
    in->connections++;
    return NULL;
}

static const char *take_window(struct image_import *in, const struct image_record *record)
{
    struct image_window from;

    if (!in->connection || !TAKE(record, from, IMAGE_LEAST_WINDOW) ||
        from.offset > STREAM_WINDOW_BYTES ||
        record->bytes - sizeof(from) > STREAM_WINDOW_BYTES - from.offset)
        return "what a connection has received does not fit";
    memcpy(in->connection->window + from.offset, record->body + sizeof(from),
           record->bytes - sizeof(from));
    return NULL;
}

static bool send_place(const struct image_import *in, const struct image_send *from,
                       arena_ref *ret_data)
{
    struct connection_record *r = in->connection;

    switch (from->place) {
    case IMAGE_SEND_REF:
        if (!is_outside(from->data) || (!from->data && from->data_bytes))
            return false;
        /* What was in no buffer any more has been sent already: the socket's position says so. */
        *ret_data = moves(in) ? image_move_ref(in->move, from->data) : from->data;
        return true;
    case IMAGE_SEND_SMALL:
        if (!from->owner || from->data > STATE_SMALL_BYTES ||
            from->data_bytes > STATE_SMALL_BYTES - from->data)
            return false;
        *ret_data = arena_ref_of(ARENA_STATE,
                                 session_at(r->session)->task[from->owner - 1].small + from->data);
        return true;
    case IMAGE_SEND_WINDOW:
        if (from->data > STREAM_WINDOW_BYTES ||
            from->data_bytes > STREAM_WINDOW_BYTES - from->data)
            return false;
        *ret_data = arena_ref_of(ARENA_STATE, r->window + from->data);
        return true;
    default:
        return false;
    }
}

static const char *take_send(struct image_import *in, const struct image_record *record)
{
    struct image_send from;
    arena_ref data;

    if (!in->connection || !TAKE(record, from, IMAGE_LEAST_SEND))
        return "what is to be sent is of no connection";
    struct stream_hot *hot = &in->connection->stream.hot[0];
    if (hot->tx_last == STREAM_TX_ENTRIES || from.owner > STATE_TASKS_MAX ||
        from.header_bytes > STREAM_HEADER_MAX || from.trailer_bytes > sizeof(from.trailer) ||
        !send_place(in, &from, &data) || (hot->tx_last && from.pos != in->send_end))
        return "what is to be sent does not fit";
    struct stream_tx *e = &in->connection->stream.tx[hot->tx_last++];
    e->pos = from.pos;
    e->data = data;
    e->data_bytes = from.data_bytes;
    e->owner = from.owner;
    e->header_bytes = from.header_bytes;
    e->trailer_bytes = from.trailer_bytes;
    memcpy(e->header, from.header, sizeof(e->header));
    memcpy(e->trailer, from.trailer, sizeof(e->trailer));
    in->send_end = from.pos + from.header_bytes + from.data_bytes + from.trailer_bytes;
    return NULL;
}

/* ---- all ---- */

static const char *take(struct image_import *in, const struct image_record *record)
{
    static const struct {
        uint16_t type;
        const char *(*take)(struct image_import *in, const struct image_record *record);
    } kinds[] = {
        { IMAGE_UNIT, image_import_unit },
        { IMAGE_UNIT_ATTENTIONS, image_import_of_unit },
        { IMAGE_UNIT_OWNER, image_import_of_unit },
        { IMAGE_UNIT_RESERVATIONS, image_import_of_unit },
        { IMAGE_UNIT_SANITIZE, image_import_of_unit },
        { IMAGE_UNIT_IDENT, image_import_of_unit },
        { IMAGE_UNIT_COPIES, image_import_of_unit },
        { IMAGE_UNIT_BUFFERS, image_import_of_unit },
        { IMAGE_UNIT_STORAGE, image_import_of_unit },
        { IMAGE_UNIT_COUNTERS, image_import_of_unit },
        { IMAGE_SESSION, take_session },
        { IMAGE_SESSION_COUNTERS, take_session_counters },
        { IMAGE_NEXUS_UNIT, take_nexus_unit },
        { IMAGE_TASK, take_task },
        { IMAGE_TASK_TRANSFER, take_transfer },
        { IMAGE_TASK_BUFFER, take_buffer },
        { IMAGE_TASK_SMALL, take_small },
        { IMAGE_CONNECTION, take_connection },
        { IMAGE_WINDOW, take_window },
        { IMAGE_SEND, take_send },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].type == record->type)
            return kinds[i].take(in, record);
    return record->flags & IMAGE_CRITICAL ? "it needs a newer version to be read" : NULL;
}

static const char *take_head(struct image_import *in, struct image_reader *reader)
{
    struct image_record record;

    if (!image_next(reader, &record) || record.type != IMAGE_HEAD ||
        !TAKE(&record, in->from, IMAGE_LEAST_HEAD) ||
        in->from.state_name[sizeof(in->from.state_name) - 1])
        return "it has no head";
    if (in->from.oldest > IMAGE_VERSION)
        return "it needs a newer version to be read";
    if (in->from.layout == in->layout)
        return "both workers have one layout of the state memory, and it would be overwritten";
    if (in->from.reactors > ARENA_POOL_LAST - ARENA_POOL_FIRST)
        return "it has an impossible number of reactors";
    if (moves(in) && !in->move)
        return "the old worker has other pools of buffers";
    return NULL;
}

static const char *take_all(struct image_import *in, struct image_reader *reader)
{
    struct image_record record;
    const char *why = NULL;

    while (!why && image_next(reader, &record))
        why = take(in, &record);
    if (!why)
        why = end_connection(in);
    if (!why && (in->sessions != in->from.sessions || in->connections != in->from.connections ||
                 in->units != in->from.units))
        why = "it does not have what its head says";
    return why;
}

/* Nothing of what an earlier worker of this layout left is of use. */
static void clear(struct image_import *in)
{
    struct arena *state = &arena_table[ARENA_STATE];

    madvise(state->base, state->bytes, MADV_REMOVE);
    *(struct state_head *)state->base = *in->head;
    if (in->area)
        keep_area_clear(in->area);
}

const char *image_import(struct image_import *in, const void *image, size_t bytes)
{
    struct image_reader reader;
    const char *why = image_open(&reader, image, bytes);

    if (!why)
        why = take_head(in, &reader);
    if (why)
        return why;
    clear(in);
    in->session_index = g_hash_table_new(NULL, NULL);
    in->connection_index = g_hash_table_new(NULL, NULL);
    if (moves(in)) {
        in->move->old_reactors = in->from.reactors;
        image_move_begin(in->move);
    }
    why = take_all(in, &reader);
    if (moves(in))
        image_move_end(in->move);
    g_hash_table_unref(in->connection_index);
    g_hash_table_unref(in->session_index);
    if (in->keep.data)
        scsi_keep_close(&in->keep);
    if (why)
        clear(in);
    return why;
}
