/* SPDX-License-Identifier: BSD-3-Clause */
#include "image-rig.h"

#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "iscsi/engine.h"
#include "scsi/counters.h"

#define REACTORS 2u
#define LANES    2u

static struct state_head head;
static uint64_t memory_layout;
static struct scsi_services services;

static int memfd_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed)
{
    *ret_existed = false;
    *ret_fd = arena_create_fd("keep", bytes);
    return *ret_fd < 0 ? *ret_fd : 0;
}

void memory_begin(uint32_t sessions, uint64_t layout)
{
    memory_end();
    uint64_t bytes = state_bytes(sessions, sessions);
    g_assert_cmpint(arena_map(ARENA_STATE, arena_create_fd("state", bytes), bytes), ==, 0);
    head = (struct state_head){
        .magic = STATE_MAGIC,
        .version = STATE_VERSION,
        .sessions = sessions,
        .connections = sessions,
        .reactors = REACTORS,
        .session_bytes = sizeof(struct session_record),
        .connection_bytes = sizeof(struct connection_record),
        .task_bytes = sizeof(struct task_record),
        .pool_mib = 64,
    };
    *(struct state_head *)arena_table[ARENA_STATE].base = head;
    memory_layout = layout;
    services.memfd_get = memfd_get;
    g_assert_cmpint(scsi_keep_area_open(&services, LANES, &services.area), ==, 0);
}

void memory_end(void)
{
    if (arena_table[ARENA_STATE].base)
        arena_unmap(ARENA_STATE);
    services.area = scsi_keep_area_free(services.area);
}

/* ---- what a worker might have left ---- */

static void fill_task(struct session_record *s, unsigned index)
{
    struct task_record *t = &s->task[index];

    t->born_pos = 100 + index;
    t->done_pos = UINT64_MAX;
    t->lun = (uint64_t)index << 48;
    t->itt = 0x1000 + index;
    t->cmd_sn = 77 + index;
    t->expected_bytes = 65536;
    t->opcode = 0x01;
    t->flags = 0xa1;
    t->connection = (uint8_t)(index & 1);
    t->kind = TASK_SCSI;
    t->cdb_bytes = 16;
    memset(t->cdb, 0x20 + (int)index, sizeof(t->cdb));
    for (unsigned i = 0; i < index % 3; i++)
        t->transfer[i] = (struct state_transfer){ .rx_pos = 90,
                                                  .tx_pos = 80,
                                                  .seq = i + 1,
                                                  .received = 4096 * i,
                                                  .r2t_sent = i,
                                                  .fault = i };
    for (unsigned i = 0; i < index % (STATE_TASK_BUFFERS + 1); i++) {
        t->buffer[i] = arena_ref_make(ARENA_POOL_FIRST, 4096 * (16 * index + i));
        t->buffer_bytes[i] = 4096;
    }
    t->buffers = (uint8_t)(index % (STATE_TASK_BUFFERS + 1));
    memset(t->small, 0x70 + (int)index, sizeof(t->small));
    if (index == 1) { /* a Reject: its data are in its small bytes */
        t->kind = TASK_REJECT;
        t->answer_data = arena_ref_of(ARENA_STATE, t->small);
        t->answer_bytes = 48;
        memset(t->answer, 0x3f, sizeof(t->answer));
    }
}

static void fill_session(uint32_t index, uint16_t tsih)
{
    struct session_record *s = arena_ptr(state_session_ref(index));

    s->tsih = tsih;
    s->portal_group_tag = 1;
    memcpy(s->isid, "\x80\1\2\3\4\5", 6);
    s->window = 32;
    s->engine = index % REACTORS;
    s->touched = 9;
    s->params = iscsi_params_default;
    s->nexus_id = 40 + index;
    s->counters.commands = 1000 + index;
    g_snprintf(s->initiator, sizeof(s->initiator), "iqn.2026-11.org.example:host%u", index);
    g_strlcpy(s->target, "iqn.2026-11.org.example:disk", sizeof(s->target));
    s->nexus_units[0] = (struct scsi_nexus_unit){ .unit_id = 3, .attention_at = 2, .prevents = 1 };
    s->nexus_units[200] = (struct scsi_nexus_unit){ .unit_id = 4, .lun = 999, .flags = 5 };
    for (unsigned i = 0; i < s->touched; i += 1 + (i == 4))
        fill_task(s, i);
    *state_session_used(index) = 1;
}

static void push(struct connection_record *c, uint32_t owner, arena_ref data, uint32_t data_bytes)
{
    struct stream_hot *h = &c->stream.hot[1];
    struct stream_tx *e = &c->stream.tx[h->tx_last++ % STREAM_TX_ENTRIES];

    *e = (struct stream_tx){ .pos = h->tx_tail,
                             .data = data,
                             .data_bytes = data_bytes,
                             .owner = owner,
                             .header_bytes = 48,
                             .trailer_bytes = 4 };
    memset(e->header, 0x25, sizeof(e->header));
    h->tx_tail += 48 + 4 + data_bytes;
}

static void fill_connection(uint32_t index, uint32_t session, uint8_t number)
{
    struct connection_record *c = arena_ptr(state_connection_ref(index));
    struct session_record *s = arena_ptr(state_session_ref(session));
    struct stream_hot *h = &c->stream.hot[1];

    c->slot = 10 + index;
    c->session = session;
    c->full = 1;
    c->cid = (uint16_t)(7 + index);
    c->number = number;
    c->nop_interval_ns = 5;
    c->params = iscsi_params_default;
    g_strlcpy(c->peer, "192.0.2.1:4444", sizeof(c->peer));
    g_strlcpy(c->portal, "san", sizeof(c->portal));
    c->stream.rx_bias = 3;
    c->stream.cur = 1;
    h->rx_parsed = 5000;
    h->window_base = 4900;
    h->tx_tail = 1000000;
    h->tx_first = STREAM_TX_ENTRIES - 2; /* around the end of the queue */
    h->tx_last = h->tx_first;
    h->number[STATE_STAT_SN] = 55;
    h->number[STATE_EXP_CMD_SN] = 77;
    memset(c->window + 100, 0x5a, 30); /* half a header */
    push(c, 3, arena_ref_make(ARENA_POOL_FIRST, 8192), 4096);
    push(c, 2, arena_ref_of(ARENA_STATE, s->task[1].small), 48);
    push(c, 0, arena_ref_of(ARENA_STATE, c->window + 64), 20);
    push(c, 0, 0, 0);
    *state_connection_used(head.sessions, index) = 1;
}

static void fill_unit(const char *target, unsigned lun)
{
    struct scsi_keep keep = { 0 };

    g_assert_cmpint(scsi_keep_open(&keep, services.area, target, lun), ==, 0);
    atomic_store(&keep.data->mode, 2 + lun);
    atomic_store(&keep.data->not_ready, 1);
    atomic_store(&keep.data->attentions.head, 3);
    atomic_store(&keep.data->attentions.slot[2], 0x2a09);
    scsi_keep_counters(&keep)[1].errors = 6 + lun;
    if (lun == 0) {
        struct pr_table *table = pr_table_new();
        table->generation = 9;
        table->holder = -1;
        scsi_keep_table(&keep, table);
        pr_table_free(table);
        scsi_keep_owner(&keep, &(struct pr_name){ .tag = 1, .port = "iqn.x,i,0x800102030405" });
        scsi_keep_sanitize(&keep, &(struct sanitize_record){ .action = SANITIZE_BLOCK_ERASE });
    }
    scsi_keep_close(&keep);
}

void memory_fill(void)
{
    fill_session(1, 11);
    fill_session(2, 12);
    fill_connection(0, 1, 0);
    fill_connection(2, 2, 0);
    fill_connection(3, 2, 1);
    fill_unit("iqn.2026-11.org.example:disk", 0);
    fill_unit("iqn.2026-11.org.example:disk", 1);
}

bool memory_is_empty(void)
{
    GByteArray *image = memory_export();
    struct image_reader r;
    struct image_record record;
    unsigned records = 0;

    g_assert_null(image_open(&r, image->data, image->len));
    while (image_next(&r, &record))
        records++;
    g_byte_array_unref(image);
    for (uint32_t i = 0; i < head.sessions; i++)
        if (*state_session_used(i) || *state_connection_used(head.sessions, i))
            return false;
    return records == 1; /* the head */
}

/* ---- images ---- */

GByteArray *memory_export(void)
{
    g_autofree uint64_t *received = g_new0(uint64_t, head.connections);

    for (uint32_t i = 0; i < head.connections; i++)
        received[i] = 5030;
    return image_export(&(struct image_source){ .layout = memory_layout,
                                                .state_name = "keep:sessions:test",
                                                .area = services.area,
                                                .received = received });
}

const char *memory_import(const GByteArray *image)
{
    struct image_import in = { .layout = memory_layout, .head = &head, .area = services.area };

    return image_import(&in, image->data, image->len);
}

GByteArray *image_changed(const GByteArray *image,
                          void (*change)(struct image_writer *w, const struct image_record *record,
                                         unsigned number, void *data),
                          void *data)
{
    struct image_reader r;
    struct image_record record;
    struct image_writer w;
    unsigned number = 0;

    g_assert_null(image_open(&r, image->data, image->len));
    image_writer_init(&w);
    while (image_next(&r, &record))
        change(&w, &record, number++, data);
    return image_finish(&w);
}
