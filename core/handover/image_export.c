/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions, tasks and connections into an image; see image_export.h. */
#include "handover/image_export.h"

#include <string.h>

#include "handover/image_format.h"
#include "iscsi/engine.h"

_Static_assert(STREAM_NUMBERS <= IMAGE_NUMBERS && sizeof(((struct stream_tx *)0)->header) == 56,
               "an image has room for what a record has");

static const struct session_record *session_at(uint32_t index)
{
    return arena_ptr(state_session_ref(index));
}

static const struct connection_record *connection_at(uint32_t index)
{
    return arena_ptr(state_connection_ref(index));
}

static const struct stream_hot *hot_of(const struct connection_record *r)
{
    return &r->stream.hot[atomic_load_explicit(&r->stream.cur, memory_order_acquire) & 1];
}

static struct image_params params_of(const struct iscsi_params *p)
{
    return (struct image_params){
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

/* ---- tasks ---- */

/* Where in `small` of that task the reference points; -1: elsewhere. */
static int64_t in_small(const struct task_record *r, arena_ref ref)
{
    arena_ref begin = arena_ref_of(ARENA_STATE, r->small);
    return ref >= begin && ref < begin + sizeof(r->small) ? (int64_t)(ref - begin) : -1;
}

static void put_transfer(struct image_writer *w, const struct state_transfer *x)
{
    struct image_transfer to = {
        .rx_pos = x->rx_pos,
        .tx_pos = x->tx_pos,
        .seq = x->seq,
        .received = x->received,
        .data_sn = x->data_sn,
        .sequence_end = x->sequence_end,
        .r2t_offset = x->r2t_offset,
        .r2t_sent = x->r2t_sent,
        .r2t_done = x->r2t_done,
        .sent = x->sent,
        .data_in_sn = x->data_in_sn,
        .unsolicited = x->unsolicited,
        .segment_open = x->segment_open,
        .fault = x->fault,
        .fault_key = x->fault_key,
        .fault_asc = x->fault_asc,
        .fault_ascq = x->fault_ascq,
    };
    if (x->seq)
        image_put(w, IMAGE_TASK_TRANSFER, IMAGE_CRITICAL, &to, sizeof(to));
}

static void put_task(struct image_writer *w, const struct task_record *r, uint32_t index)
{
    int64_t small = in_small(r, r->answer_data);
    struct image_task to = {
        .born_pos = r->born_pos,
        .done_pos = r->done_pos,
        .lun = r->lun,
        .answer_data = small >= 0 ? (uint64_t)small : r->answer_data,
        .index = index,
        .itt = r->itt,
        .cmd_sn = r->cmd_sn,
        .expected_bytes = r->expected_bytes,
        .answer_bytes = r->answer_bytes,
        .opcode = r->opcode,
        .flags = r->flags,
        .connection = r->connection,
        .kind = r->kind,
        .answer_next_status = r->answer_next_status,
        .cdb_bytes = r->cdb_bytes,
        .begun = r->begun,
        .answer_in_small = small >= 0,
    };
    memcpy(to.cdb, r->cdb, sizeof(to.cdb));
    memcpy(to.answer, r->answer, sizeof(to.answer));
    image_put(w, IMAGE_TASK, IMAGE_CRITICAL, &to, sizeof(to));
    put_transfer(w, &r->transfer[0]);
    put_transfer(w, &r->transfer[1]);
    for (unsigned i = 0; i < r->buffers && i < STATE_TASK_BUFFERS; i++) {
        struct image_buffer buffer = { r->buffer[i], r->buffer_bytes[i], 0 };
        image_put(w, IMAGE_TASK_BUFFER, IMAGE_CRITICAL, &buffer, sizeof(buffer));
    }
    image_put(w, IMAGE_TASK_SMALL, IMAGE_CRITICAL, r->small, sizeof(r->small));
}

/* ---- a session ---- */

static void put_nexus_units(struct image_writer *w, const struct session_record *r)
{
    for (uint32_t i = 0; i < SCSI_LUNS_MAX; i++) {
        const struct scsi_nexus_unit *u = &r->nexus_units[i];
        struct image_nexus_unit to = {
            .index = i,
            .unit_id = u->unit_id,
            .attention_at = u->attention_at,
            .prevents = u->prevents,
            .lun = u->lun,
            .flags = u->flags,
            .serial = u->serial,
        };
        if (u->unit_id)
            image_put(w, IMAGE_NEXUS_UNIT, IMAGE_CRITICAL, &to, sizeof(to));
    }
}

static void put_session(struct image_writer *w, uint32_t index)
{
    const struct session_record *r = session_at(index);
    struct image_session to = {
        .index = index,
        .tsih = r->tsih,
        .portal_group_tag = r->portal_group_tag,
        .discovery = r->discovery,
        .window = r->window,
        .engine = r->engine,
        .touched = r->touched,
        .nexus_id = r->nexus_id,
        .params = params_of(&r->params),
    };
    memcpy(to.isid, r->isid, sizeof(to.isid));
    g_strlcpy(to.initiator, r->initiator, sizeof(to.initiator));
    g_strlcpy(to.target, r->target, sizeof(to.target));
    g_strlcpy(to.peer, r->peer, sizeof(to.peer));
    image_put(w, IMAGE_SESSION, IMAGE_CRITICAL, &to, sizeof(to));
    image_put(w, IMAGE_SESSION_COUNTERS, 0, &r->counters, sizeof(r->counters));
    put_nexus_units(w, r);
    for (uint32_t i = 0; i < r->touched && i < STATE_TASKS_MAX; i++)
        if (r->task[i].done_pos) /* 0: not in use */
            put_task(w, &r->task[i], i);
}

/* ---- a connection ---- */

static bool in_window(uint32_t index, arena_ref ref, uint64_t *ret_offset)
{
    arena_ref begin = arena_ref_of(ARENA_STATE, connection_at(index)->window);
    *ret_offset = ref - begin;
    return ref >= begin && ref < begin + STREAM_WINDOW_BYTES;
}

static void put_window(struct image_writer *w, const struct connection_record *r, uint64_t offset,
                       uint64_t bytes)
{
    struct image_window to = { .offset = (uint32_t)offset };
    if (bytes && offset < STREAM_WINDOW_BYTES && bytes <= STREAM_WINDOW_BYTES - offset)
        image_put_with(w, IMAGE_WINDOW, IMAGE_CRITICAL, &to, sizeof(to), r->window + offset,
                       (uint32_t)bytes);
}

static void put_send(struct image_writer *w, uint32_t index, const struct stream_tx *e)
{
    const struct connection_record *r = connection_at(index);
    struct image_send to = {
        .pos = e->pos,
        .data = e->data,
        .data_bytes = e->data_bytes,
        .owner = e->owner,
        .header_bytes = e->header_bytes,
        .trailer_bytes = e->trailer_bytes,
    };
    uint64_t offset;
    memcpy(to.header, e->header, sizeof(to.header));
    memcpy(to.trailer, e->trailer, sizeof(to.trailer));
    if (e->data_bytes && in_window(index, e->data, &offset)) {
        to.place = IMAGE_SEND_WINDOW;
        to.data = offset;
        put_window(w, r, offset, e->data_bytes);
    } else if (e->data_bytes && e->owner && e->owner <= STATE_TASKS_MAX) {
        int64_t small = in_small(&session_at(r->session)->task[e->owner - 1], e->data);
        if (small >= 0) {
            to.place = IMAGE_SEND_SMALL;
            to.data = (uint64_t)small;
        }
    }
    image_put(w, IMAGE_SEND, IMAGE_CRITICAL, &to, sizeof(to));
}

static uint64_t end_of(const struct stream_tx *e)
{
    return e->pos + e->header_bytes + e->data_bytes + e->trailer_bytes;
}

/* Slots before the first that counts may hold what was never committed: found as stream_resume() does. */
static void put_queue(struct image_writer *w, uint32_t index, const struct stream_hot *hot)
{
    const struct stream_tx *queue = connection_at(index)->stream.tx;
    uint32_t first = hot->tx_last;
    uint64_t end = hot->tx_tail;

    while (first != hot->tx_first && hot->tx_last - first < STREAM_TX_ENTRIES) {
        const struct stream_tx *e = &queue[(first - 1) % STREAM_TX_ENTRIES];
        if (end_of(e) != end || e->pos >= end)
            break;
        end = e->pos;
        first--;
    }
    for (; first != hot->tx_last; first++)
        put_send(w, index, &queue[first % STREAM_TX_ENTRIES]);
}

static uint8_t leaves(const struct connection_record *r)
{
    if (!r->leave.with)
        return IMAGE_STAYS;
    return r->leave.session ? IMAGE_LEAVES_WITH_SESSION : IMAGE_LEAVES;
}

static void put_connection(struct image_writer *w, uint32_t index, uint64_t received)
{
    const struct connection_record *r = connection_at(index);
    const struct stream_hot *hot = hot_of(r);
    struct image_connection to = {
        .index = index,
        .session = r->session,
        .slot = r->slot,
        .blames = r->blames,
        .blamed_pos = r->blamed_pos,
        .cid = r->cid,
        .number = r->number,
        .leaves = leaves(r),
        .nop_interval_ns = r->nop_interval_ns,
        .nop_timeout_ns = r->nop_timeout_ns,
        .rx_bias = r->stream.rx_bias,
        .tx_bias = r->stream.tx_bias,
        .rx_parsed = hot->rx_parsed,
        .window_base = hot->window_base,
        .tx_tail = hot->tx_tail,
        .direct_bytes = hot->direct_bytes,
        .params = params_of(&r->params),
    };
    memcpy(to.numbers, hot->number, sizeof(hot->number));
    memcpy(to.segment_bhs, r->segment_bhs, sizeof(to.segment_bhs));
    g_strlcpy(to.peer, r->peer, sizeof(to.peer));
    g_strlcpy(to.portal, r->portal, sizeof(to.portal));
    image_put(w, IMAGE_CONNECTION, IMAGE_CRITICAL, &to, sizeof(to));
    uint64_t parsed = hot->rx_parsed + hot->direct_bytes;
    if (received > parsed)
        put_window(w, r, parsed - hot->window_base, received - parsed);
    put_queue(w, index, hot);
}

/* ---- all ---- */

/* Those that go on: in full feature phase, of a session (as thaw.c has it). */
static bool goes_on(uint32_t index, const uint64_t *received)
{
    const struct state_head *head = state_head();
    const struct connection_record *r = connection_at(index);
    return *state_connection_used(head->sessions, index) && received[index] && r->full &&
           hot_of(r)->tx_tail >= r->full_pos && r->session < head->sessions &&
           (!r->leave.with || r->leave.with == index + 1) && *state_session_used(r->session);
}

GByteArray *image_export(const struct image_source *source)
{
    const struct state_head *head = state_head();
    g_autofree bool *wanted = g_new0(bool, head->sessions);
    struct image_head ours = {
        .version = IMAGE_VERSION,
        .oldest = IMAGE_OLDEST,
        .layout = source->layout,
        .state_bytes = arena_table[ARENA_STATE].bytes,
        .reactors = head->reactors,
        .pool_mib = head->pool_mib,
        .session_places = head->sessions,
        .connection_places = head->connections,
    };
    struct image_writer w;

    for (uint32_t i = 0; i < head->connections; i++)
        if (goes_on(i, source->received)) {
            ours.sessions += !wanted[connection_at(i)->session];
            wanted[connection_at(i)->session] = true;
            ours.connections++;
        }
    g_strlcpy(ours.state_name, source->state_name, sizeof(ours.state_name));
    image_writer_init(&w);
    guint at = w.bytes->len + (guint)sizeof(struct image_tlv);
    image_put(&w, IMAGE_HEAD, IMAGE_CRITICAL, &ours, sizeof(ours));
    image_export_units(&w, source->area, &ours.units);
    memcpy(w.bytes->data + at, &ours, sizeof(ours));
    for (uint32_t i = 0; i < head->sessions; i++)
        if (wanted[i])
            put_session(&w, i);
    for (uint32_t i = 0; i < head->connections; i++)
        if (goes_on(i, source->received))
            put_connection(&w, i, source->received[i]);
    return image_finish(&w);
}
