/* SPDX-License-Identifier: BSD-3-Clause */
/* What the PDUs of the full feature phase mean: tasks, data bursts, the command window, NOP. */
#include "load.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define IO_TAG 0x00f00000u /* the one command outside the workload: start-up questions */

enum {
    NOP_OUT = 0x00,
    SCSI_COMMAND = 0x01,
    DATA_OUT = 0x05,
    LOGOUT = 0x06,
    NOP_IN = 0x20,
    SCSI_RESPONSE = 0x21,
    LOGIN_RESPONSE = 0x23,
    DATA_IN = 0x25,
    LOGOUT_RESPONSE = 0x26,
    R2T = 0x31,
    ASYNC = 0x32,
    REJECT = 0x3f,
};

struct lun lun;

static void put_lun(uint8_t *at)
{
    at[1] = (uint8_t)opt.lun;
}

static struct task *task_of(struct conn *c, uint32_t tag)
{
    return c->tasks && tag < opt.depth && c->tasks[tag].busy ? &c->tasks[tag] : NULL;
}

bool session_header(struct conn *c)
{
    struct receive *rx = &c->rx;
    const uint8_t *h = rx->header;
    uint32_t tag = get_be32(h + 16), offset = get_be32(h + 40);
    struct task *t;

    if ((h[0] & 0x3f) != DATA_IN || tag == IO_TAG) {
        if (rx->data > TEXT_BYTES)
            return fail(c, "opcode %02x brings %u bytes", h[0], rx->data);
        rx->to = c->text;
        return true;
    }
    t = task_of(c, tag);
    if (!t || t->write)
        return fail(c, "data for tag %08x, which is no read", tag);
    if (offset != t->received || rx->data > opt.block - offset)
        return fail(c, "data at offset %u of %u bytes, %u expected", offset, rx->data, t->received);
    if (t->buffer)
        rx->to = t->buffer + offset;
    return true;
}

/* One burst of Data-Out PDUs for a task. */
static void send_burst(struct conn *c, uint32_t tag, uint32_t ttt, uint32_t offset, uint32_t bytes)
{
    const uint8_t *data = c->tasks[tag].buffer ? c->tasks[tag].buffer + offset : payload;

    for (uint32_t sn = 0, done = 0; done < bytes; sn++) {
        uint32_t n = bytes - done < c->p.send_segment ? bytes - done : c->p.send_segment;
        uint8_t *h = tx_header(c);

        h[0] = DATA_OUT;
        h[1] = done + n == bytes ? 0x80 : 0;
        put_lun(h + 8);
        put_be32(h + 16, tag);
        put_be32(h + 20, ttt);
        put_be32(h + 28, c->exp_stat_sn);
        put_be32(h + 36, sn);
        put_be32(h + 40, offset + done);
        tx_commit(c, c->tasks[tag].buffer ? data + done : payload, n);
        done += n;
    }
}

static void send_command(struct conn *c, uint32_t tag, struct task *t)
{
    uint32_t blocks = opt.block / lun.block_bytes, first, immediate = 0;
    uint8_t *h = tx_header(c);

    first = c->p.first_burst < opt.block ? c->p.first_burst : opt.block;
    h[0] = SCSI_COMMAND;
    h[1] = t->write ? 0xa1 : 0xc1; /* final, write or read, simple task */
    if (t->write) {
        if (c->p.immediate_data)
            immediate = first < c->p.send_segment ? first : c->p.send_segment;
        if (!c->p.initial_r2t && immediate < first)
            h[1] &= 0x7f;
    }
    put_lun(h + 8);
    put_be32(h + 16, tag);
    put_be32(h + 20, opt.block);
    put_be32(h + 24, c->cmd_sn++);
    put_be32(h + 28, c->exp_stat_sn);
    if (t->lba + blocks <= UINT32_MAX && blocks <= UINT16_MAX) {
        h[32] = t->write ? 0x2a : 0x28;
        put_be32(h + 34, (uint32_t)t->lba);
        put_be16(h + 39, (uint16_t)blocks);
    } else {
        h[32] = t->write ? 0x8a : 0x88;
        put_be64(h + 34, t->lba);
        put_be32(h + 42, blocks);
    }
    tx_commit(c, t->buffer ? t->buffer : payload, immediate);
    if (t->write && !c->p.initial_r2t && immediate < first)
        send_burst(c, tag, NO_TAG, immediate, first - immediate);
}

bool session_issue_one(struct conn *c)
{
    if (!fig.running || !c->idle_tasks || (int32_t)(c->max_cmd_sn - c->cmd_sn) < 0)
        return false;
    uint32_t tag = c->idle[--c->idle_tasks];
    struct task *t = &c->tasks[tag];

    if (!workload_next(c, t)) {
        c->idle_tasks++;
        return false;
    }
    t->busy = true;
    t->received = 0;
    t->start = fig.now;
    send_command(c, tag, t);
    return !opt.one_send || tx_flush(c);
}

void session_issue(struct conn *c)
{
    if (opt.rate && !fig.checking)
        return; /* pace.c does */
    while (session_issue_one(c))
        ;
}

bool session_again(struct conn *c)
{
    for (uint32_t tag = 0; tag < opt.depth; tag++) {
        if (!c->tasks[tag].busy)
            continue;
        c->tasks[tag].received = 0;
        send_command(c, tag, &c->tasks[tag]);
    }
    return true;
}

static bool task_done(struct conn *c, uint32_t tag, uint8_t status, uint8_t flags)
{
    struct task *t = task_of(c, tag);

    if (tag == IO_TAG) {
        c->io_status = status;
        return true;
    }
    if (!t)
        return fail(c, "status for tag %08x, which is not in use", tag);
    t->busy = false;
    pause_answer(c, t->start);
    if (status || (flags & 0x1e) || (!t->write && t->received != opt.block)) {
        fig.errors++;
        fail(c, "%s of LBA %llu: status %02x, residual flags %02x, %u bytes received",
             t->write ? "write" : "read", (unsigned long long)t->lba, status, flags & 0x1e,
             t->received);
        return false;
    }
    if (!workload_done(c, t))
        return false;
    if (fig.measuring) {
        fig.commands++;
        fig.bytes += opt.block;
        figures_latency(fig.now - t->start);
    }
    c->idle[c->idle_tasks++] = (uint16_t)tag;
    if (opt.one_send)
        session_issue(c);
    return true;
}

static bool ready_to_transfer(struct conn *c, const uint8_t *h)
{
    uint32_t tag = get_be32(h + 16), offset = get_be32(h + 40), bytes = get_be32(h + 44);
    struct task *t = task_of(c, tag);

    if (!t || !t->write || !bytes || bytes > c->p.max_burst || offset > opt.block ||
        bytes > opt.block - offset)
        return fail(c, "R2T for tag %08x, offset %u, %u bytes", tag, offset, bytes);
    send_burst(c, tag, get_be32(h + 20), offset, bytes);
    return true;
}

static void answer_ping(struct conn *c)
{
    const uint8_t *in = c->rx.header;
    uint8_t *h = tx_header(c);

    h[0] = 0x40 | NOP_OUT;
    h[1] = 0x80;
    memcpy(h + 8, in + 8, 8);
    put_be32(h + 16, NO_TAG);
    memcpy(h + 20, in + 20, 4);
    put_be32(h + 24, c->cmd_sn);
    put_be32(h + 28, c->exp_stat_sn);
    tx_commit(c, NULL, 0);
}

bool session_pdu(struct conn *c)
{
    const uint8_t *h = c->rx.header;
    unsigned opcode = h[0] & 0x3f;
    uint32_t tag = get_be32(h + 16), max = get_be32(h + 32);
    bool stamped = true;

    if (c->state != LOGIN_DONE)
        return login_answer(c);
    if (opcode == DATA_IN)
        stamped = h[1] & 1;
    else if (opcode == R2T)
        stamped = false;
    else if (opcode == NOP_IN)
        stamped = tag != NO_TAG;
    if (stamped) {
        if (get_be32(h + 24) != c->exp_stat_sn)
            return fail(c, "StatSN %u, %u expected", get_be32(h + 24), c->exp_stat_sn);
        c->exp_stat_sn++;
    }
    if ((int32_t)(max - c->max_cmd_sn) > 0)
        c->max_cmd_sn = max;

    switch (opcode) {
    case DATA_IN:
        if (tag != IO_TAG)
            c->tasks[tag].received += c->rx.data;
        else
            c->text_bytes = c->rx.data;
        return h[1] & 1 ? task_done(c, tag, h[3], h[1]) : true;
    case SCSI_RESPONSE:
        return task_done(c, tag, h[2] ? 0xff : h[3], h[1]);
    case R2T:
        return ready_to_transfer(c, h);
    case NOP_IN:
        if (get_be32(h + 20) != NO_TAG)
            answer_ping(c);
        return true;
    case LOGOUT_RESPONSE:
        c->logged_out = true;
        return true;
    case REJECT:
        return fail(c, "rejected with reason %02x", h[2]);
    case ASYNC:
        if (opt.comeback)
            return true; /* it will see */
        return fail(c, "asynchronous event %u", h[36]);
    default:
        return fail(c, "unexpected opcode %02x", h[0]);
    }
}

/* A command outside the workload; its data is in conn->text. */
static bool command_wait(struct conn *c, const uint8_t *cdb, uint32_t expect)
{
    uint8_t *h = tx_header(c);

    h[0] = SCSI_COMMAND;
    h[1] = expect ? 0xc1 : 0x81;
    put_lun(h + 8);
    put_be32(h + 16, IO_TAG);
    put_be32(h + 20, expect);
    put_be32(h + 24, c->cmd_sn++);
    put_be32(h + 28, c->exp_stat_sn);
    memcpy(h + 32, cdb, 16);
    tx_commit(c, NULL, 0);
    c->io_status = 0xfe;
    c->text_bytes = 0;
    while (c->io_status == 0xfe)
        if (!tx_flush(c) || !receive_some(c, true))
            return false;
    return true;
}

bool session_prepare(struct conn *c)
{
    static const uint8_t test_unit_ready[16];
    static const uint8_t read_capacity[16] = { 0x9e, 0x10, [13] = 32 };

    for (unsigned tries = 0; tries < 10; tries++) {
        if (!command_wait(c, test_unit_ready, 0))
            return false;
        if (!c->io_status)
            break;
    }
    if (c->io_status || !command_wait(c, read_capacity, 32))
        return fail(c, "LUN %u is not ready", opt.lun);
    if (c->io_status || c->text_bytes < 12)
        return fail(c, "READ CAPACITY(16): status %02x, %u bytes", c->io_status, c->text_bytes);
    lun.blocks = get_be64(c->text) + 1;
    lun.block_bytes = get_be32(c->text + 8);
    if (!lun.block_bytes || opt.block % lun.block_bytes)
        return fail(c, "the LUN has blocks of %u bytes", lun.block_bytes);
    return true;
}

void session_logout(struct conn *c)
{
    uint8_t *h = tx_header(c);

    h[0] = 0x40 | LOGOUT;
    h[1] = 0x80; /* close the session */
    put_be32(h + 16, 1);
    put_be32(h + 24, c->cmd_sn);
    put_be32(h + 28, c->exp_stat_sn);
    tx_commit(c, NULL, 0);
    while (!c->logged_out)
        if (!tx_flush(c) || !receive_some(c, true))
            return;
}
