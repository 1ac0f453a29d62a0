/* SPDX-License-Identifier: BSD-3-Clause */
/* What an initiator can do to the engine at an inconvenient time. */
#include "engine-rig.h"

#include <pthread.h>
#include <string.h>

#include "base/bytes.h"

#define SIMPLE   ISCSI_ATTR_SIMPLE
#define ORDERED  ISCSI_ATTR_ORDERED
#define READ_4M  (4u << 20)
#define BLOCK    512u

static struct engine_rig rig;
static struct peer peer;

static void begin(const struct engine_rig_options *options, const char *keys, size_t bytes)
{
    memset(&peer, 0, sizeof(peer));
    engine_rig_create(&rig, options);
    peer_login(&rig, &peer, keys, bytes);
}

static void end(void)
{
    peer_close(&peer);
    engine_rig_settle(&rig);
    engine_rig_destroy(&rig);
}

static void send_read(uint32_t itt, uint8_t attribute, uint32_t bytes)
{
    uint8_t cdb[ISCSI_CDB_BYTES] = {0x28};
    put_be16(cdb + 7, (uint16_t)(bytes / BLOCK));
    peer_command(&peer, itt, ISCSI_FINAL | ISCSI_CMD_READ | attribute, cdb, bytes, NULL, 0);
}

static void send_write(uint32_t itt, uint32_t bytes, const void *data, uint32_t immediate)
{
    uint8_t cdb[ISCSI_CDB_BYTES] = {0x2a};
    put_be16(cdb + 7, (uint16_t)(bytes / BLOCK));
    peer_command(&peer, itt, ISCSI_FINAL | ISCSI_CMD_WRITE | SIMPLE, cdb, bytes, data, immediate);
}

static void send_inquiry(uint32_t itt, uint8_t attribute)
{
    const uint8_t cdb[ISCSI_CDB_BYTES] = {0x12, 0, 0, 0, 96};
    peer_command(&peer, itt, ISCSI_FINAL | ISCSI_CMD_READ | attribute, cdb, 96, NULL, 0);
}

static void send_ping(const void *data, uint32_t bytes)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FINAL};
    put_be32(bhs + ISCSI_BHS_ITT, 0x9999);
    put_be32(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
    put_be32(bhs + ISCSI_BHS_CMD_SN, peer.cmd_sn);
    peer_send(&peer, bhs, data, bytes);
}

/* Receives until the status of that command has come. */
static uint8_t status_of(uint32_t itt)
{
    for (;;) {
        int opcode = peer_receive(&peer);
        g_assert_cmpint(opcode, >=, 0);
        if (get_be32(peer.bhs + ISCSI_BHS_ITT) != itt)
            continue;
        if (opcode == ISCSI_OP_SCSI_RESPONSE)
            return peer.bhs[ISCSI_RSP_STATUS];
        if (opcode == ISCSI_OP_DATA_IN && (peer.bhs[ISCSI_BHS_FLAGS] & ISCSI_DATA_WITH_STATUS))
            return peer.bhs[ISCSI_DATA_STATUS];
    }
}

static unsigned held_requests(void)
{
    unsigned n = 0;
    for (const struct backend_io *io = rig.disks[0]->held; io; io = (void *)(uintptr_t)io->room[0])
        n++;
    return n;
}

static bool one_is_held(struct engine_rig *r)
{
    return held_requests() >= 1;
}

/* NULL: it has not come to its reactor yet. */
static struct connection *the_connection(void)
{
    struct engine *e = &rig.engines[0];
    if (list_empty(&e->sessions))
        return NULL;
    struct session *s = list_entry(e->sessions.next, struct session, link);
    return list_empty(&s->connections) ? NULL : list_entry(s->connections.next, struct connection, link);
}

/* ---- */

static void every_abort_waits_for_the_end_of_the_command(void)
{
    begin(&(struct engine_rig_options){0}, NULL, 0);
    engine_rig_hold(&rig, 0);
    send_read(7, SIMPLE, BLOCK);
    engine_rig_wait(&rig, one_is_held);
    peer_manage(&peer, 20, ISCSI_TMF_ABORT_TASK, 7);
    peer_manage(&peer, 21, ISCSI_TMF_ABORT_TASK, 7);
    peer_manage(&peer, 22, ISCSI_TMF_ABORT_TASK_SET, ISCSI_TAG_NONE);
    send_ping("x", 1);
    g_assert_cmpint(peer_receive(&peer), ==, ISCSI_OP_NOP_IN); /* nothing was answered before it */
    engine_rig_release(&rig, 0, false);
    for (unsigned seen = 0; seen != 7;) {
        g_assert_cmpint(peer_receive(&peer), ==, ISCSI_OP_TASK_MANAGEMENT_RESPONSE);
        g_assert_cmpuint(peer.bhs[ISCSI_TMF_RESPONSE], ==, ISCSI_TMF_RSP_COMPLETE);
        seen |= 1u << (get_be32(peer.bhs + ISCSI_BHS_ITT) - 20);
    }
    end();
}

static void a_thousand_ordered_commands_end_in_a_row(void)
{
    const unsigned count = 1000;
    pthread_attr_t small, usual;
    pthread_getattr_default_np(&usual);
    pthread_getattr_default_np(&small);
    pthread_attr_setstacksize(&small, 1u << 20); /* no stack for a thousand at a time */
    pthread_setattr_default_np(&small);
    begin(&(struct engine_rig_options){.window = 1024}, NULL, 0);
    pthread_setattr_default_np(&usual);
    engine_rig_hold(&rig, 0);
    send_read(1, ORDERED, BLOCK);
    for (unsigned i = 0; i < count; i++)
        send_inquiry(2 + i, ORDERED);
    engine_rig_wait(&rig, one_is_held);
    send_ping("x", 1);
    g_assert_cmpint(peer_receive(&peer), ==, ISCSI_OP_NOP_IN); /* all have arrived */
    engine_rig_release(&rig, 0, false);
    for (unsigned i = 0; i <= count; i++)
        g_assert_cmpuint(status_of(1 + i), ==, 0);
    end();
}

static void ask_queue(void *data)
{
    const struct connection *c = the_connection();
    *(bool *)data = c && !stream_tx_room(&c->stream);
}

static void a_command_fails_that_stands_in_the_output_for_its_r2t(void)
{
    static uint8_t data[8192];
    begin(&(struct engine_rig_options){.window = 8, .socket_bytes = 16384}, NULL, 0);
    for (bool full = false; !full;) {
        send_ping(data, sizeof(data));
        engine_rig_run(&rig, 0, ask_queue, &full);
    }
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_DATA_OUT, ISCSI_FINAL};
    send_write(5, 8 * BLOCK, NULL, 0);
    put_be32(bhs + ISCSI_BHS_ITT, 5);
    put_be32(bhs + ISCSI_BHS_TTT, 0x4711);
    peer_send(&peer, bhs, data, BLOCK);
    g_assert_cmpuint(status_of(5), ==, 2);
    send_inquiry(6, SIMPLE);
    g_assert_cmpuint(status_of(6), ==, 0);
    end();
}

static bool four_are_held(struct engine_rig *r)
{
    return held_requests() == 4;
}

/* Four reads have all 16 MiB of the pool, and their disk keeps them. */
static void exhaust_the_pool(void)
{
    engine_rig_hold(&rig, 0);
    for (uint32_t itt = 1; itt <= 4; itt++)
        send_read(itt, SIMPLE, READ_4M);
    engine_rig_wait(&rig, four_are_held);
}

static bool it_waits_for_buffers(struct engine_rig *r)
{
    return !list_empty(&r->engines[0].gathering) && list_empty(&the_connection()->output) &&
           stream_drained(&the_connection()->stream);
}

static void a_segment_without_buffers_waits_although_a_task_is_freed(void)
{
    static uint8_t data[8192];
    begin(&(struct engine_rig_options){0}, NULL, 0);
    exhaust_the_pool();
    memset(data, 0x5a, sizeof(data));
    peer.more = true;
    send_ping(NULL, 0); /* its task is freed while the write below waits */
    peer.more = false;
    send_write(8, sizeof(data), data, sizeof(data));
    g_assert_cmpint(peer_receive(&peer), ==, ISCSI_OP_NOP_IN);
    engine_rig_wait(&rig, it_waits_for_buffers);
    engine_rig_release(&rig, 0, false);
    g_assert_cmpuint(status_of(8), ==, 0);
    g_assert_cmpmem(rig.disks[0]->data, sizeof(data), data, sizeof(data));
    end();
}

static void a_command_without_buffers_follows_one_that_got_the_last(void)
{
    begin(&(struct engine_rig_options){.socket_bytes = 65536}, NULL, 0);
    exhaust_the_pool();
    send_inquiry(5, SIMPLE);      /* waits for a small buffer, and ends as soon as it has it */
    send_read(6, ORDERED, READ_4M); /* starts then, and what is free is not enough */
    engine_rig_wait(&rig, it_waits_for_buffers);
    engine_rig_release(&rig, 0, false);
    for (uint32_t itt = 1; itt <= 4; itt++)
        g_assert_cmpuint(status_of(itt), ==, 0);
    g_assert_cmpuint(status_of(6), ==, 0); /* after 5, it is ordered */
    send_inquiry(7, SIMPLE);
    g_assert_cmpuint(status_of(7), ==, 0);
    end();
}

static void a_session_comes_back_while_it_ends(void)
{
    begin(&(struct engine_rig_options){0}, NULL, 0);
    for (unsigned i = 0; i < 300; i++) {
        send_read(i, SIMPLE, 64 * BLOCK);
        peer_close(&peer);
        peer.tsih = 0;
        peer_login(&rig, &peer, NULL, 0);
    }
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iscsi/engine/every-abort-waits-for-the-end-of-the-command",
                    every_abort_waits_for_the_end_of_the_command);
    g_test_add_func("/iscsi/engine/a-thousand-ordered-commands-end-in-a-row",
                    a_thousand_ordered_commands_end_in_a_row);
    g_test_add_func("/iscsi/engine/a-command-fails-that-stands-in-the-output-for-its-r2t",
                    a_command_fails_that_stands_in_the_output_for_its_r2t);
    g_test_add_func("/iscsi/engine/a-segment-without-buffers-waits-although-a-task-is-freed",
                    a_segment_without_buffers_waits_although_a_task_is_freed);
    g_test_add_func("/iscsi/engine/a-command-without-buffers-follows-one-that-got-the-last",
                    a_command_without_buffers_follows_one_that_got_the_last);
    g_test_add_func("/iscsi/engine/a-session-comes-back-while-it-ends", a_session_comes_back_while_it_ends);
    return g_test_run();
}
