/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Full feature phase against a running engine: sessions over loopback TCP that do what the input
 * says, right, wrong and at inconvenient times. The engine must answer by the rules (initiator.c
 * judges every PDU), and when the connections are gone nothing may be left: no session, task,
 * buffer, or command of a unit.
 *
 * An input is two bytes of options and a series of steps of four bytes: what, and three numbers. Some
 * take more bytes behind them. With `fuzz-session -n 500000` it runs longer than as a test.
 */
#include "fuzz.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "initiator.h"

#define STEPS_MAX 64
#define BLOCK     512u

enum option {
    OPT_HEADER_DIGEST = 0x01,
    OPT_DATA_DIGEST = 0x02,
    OPT_UNSOLICITED = 0x04,
    OPT_NO_IMMEDIATE = 0x08,
    OPT_SECOND_WIRE = 0x10,
    OPT_HOLD = 0x20,       /* the disk keeps its requests until a step or the end */
    OPT_RESET = 0x40,      /* the connections end with RST */
    OPT_SMALL_BURSTS = 0x80,
};

static struct engine_rig rig;
static struct initiator host;
static uint8_t options;
static uint8_t payload[1u << 18];

/* What is left of the input. */
static const uint8_t *input;
static size_t input_left;

static uint32_t take_bytes(uint8_t *to, uint32_t count)
{
    uint32_t n = input_left < count ? (uint32_t)input_left : count;
    memcpy(to, input, n);
    input += n;
    input_left -= n;
    return n;
}

static void stop(void)
{
    engine_rig_destroy(&rig);
}

static void setup(void)
{
    struct engine_rig_options o = {.window = 24, .limits = iscsi_limits_default};
    o.limits.max_connections = 2;
    o.limits.max_recv_data_segment_length = 65536;
    engine_rig_create(&rig, &o);
    for (size_t n = 0; n < sizeof(payload); n++)
        payload[n] = (uint8_t)(n * 7 + n / 251);
    atexit(stop);
}

static void login(unsigned wire)
{
    static const char *const keys[] = {
        "MaxConnections=2\0InitialR2T=Yes\0ImmediateData=Yes\0MaxBurstLength=262144\0MaxOutstandingR2T=4",
        "MaxConnections=2\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=262144\0MaxOutstandingR2T=1",
        "MaxConnections=2\0InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=262144\0MaxOutstandingR2T=4",
        "MaxConnections=2\0InitialR2T=No\0ImmediateData=No\0MaxBurstLength=262144\0MaxOutstandingR2T=1",
    };
    static const char *const digests[] = {"", "HeaderDigest=CRC32C", "DataDigest=CRC32C",
                                          "HeaderDigest=CRC32C\0DataDigest=CRC32C"};
    static const size_t digests_bytes[] = {0, 20, 18, 38};
    char text[256];
    const char *from = keys[options >> 2 & 3];
    size_t bytes = 0;
    for (unsigned n = 0; n < 5; n++) {
        size_t key = strlen(from) + 1;
        memcpy(text + bytes, from, key);
        from += key;
        bytes += key;
    }
    if (options & OPT_SMALL_BURSTS) { /* the last word on a key counts but once: another session type */
        static const char small[] = "FirstBurstLength=1024";
        memcpy(text + bytes, small, sizeof(small));
        bytes += sizeof(small);
    }
    memcpy(text + bytes, digests[options & 3], digests_bytes[options & 3]);
    bytes += digests_bytes[options & 3];
    host.wires[wire].header_digest = options & OPT_HEADER_DIGEST;
    host.wires[wire].data_digest = options & OPT_DATA_DIGEST;
    host.max_burst = 262144;
    if (!initiator_login(&host, wire, text, bytes))
        host.tsih = 0;
}

/* ---- steps; `c` has a bit for the wire, and more ---- */

#define ON_SECOND(c) ((c) >> 7 & 1)

static void command(uint8_t c, uint8_t flags, const uint8_t *cdb, uint32_t expected, uint32_t bytes, bool spoil)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_SCSI_COMMAND | (c & 0x40 ? ISCSI_IMMEDIATE : 0), flags};
    bhs[ISCSI_BHS_LUN + 1] = c >> 5 & 1;
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_ITT, host.itt++);
    put_be32(bhs + ISCSI_CMD_EXPECTED_LENGTH, expected);
    put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn);
    memcpy(bhs + ISCSI_CMD_CDB, cdb, ISCSI_CDB_BYTES);
    host.cmd_sn += !(c & 0x40);
    initiator_send(&host, ON_SECOND(c), bhs, payload, bytes, spoil);
}

static void step_read(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t cdb[ISCSI_CDB_BYTES] = {0x28, 0, 0, 0, 0, a, 0, b >> 2, (uint8_t)(b << 6)};
    uint32_t expected = get_be16(cdb + 7) * BLOCK;
    expected += c & 0x10 ? 100 : 0;
    expected -= c & 0x08 && expected ? 100 : 0;
    command(c, ISCSI_FINAL | ISCSI_CMD_READ | (c & 7), cdb, expected, 0, false);
}

/* b: immediate data and F; c as for a read. */
static void step_write(uint8_t a, uint8_t b, uint8_t c)
{
    static const uint8_t opcodes[] = {0x2a, 0x2a, 0x2e, 0x2f};
    uint16_t blocks = (uint16_t)((a & 0x3f) * (c & 8 ? 16 : 1));
    uint8_t cdb[ISCSI_CDB_BYTES] = {opcodes[a >> 6], (uint8_t)(a >> 6 == 3 ? 2 : 0)};
    uint32_t expected = blocks * BLOCK, immediate = (b & 0x1f) * 700u;
    put_be16(cdb + 7, blocks);
    if (b & 0x20)
        immediate = expected < 60000 ? expected : 60000;
    if (b & 0x40 && expected > 300)
        expected -= 300;
    if (b & 0x80) {
        host.unsolicited_itt = host.itt;
        host.unsolicited_at = immediate;
    }
    command(c, (b & 0x80 ? 0 : ISCSI_FINAL) | ISCSI_CMD_WRITE | (c & 7), cdb, expected, immediate,
            c & 0x10 && immediate);
}

static void data_out(unsigned wire, uint32_t itt, uint32_t ttt, uint32_t offset, uint32_t bytes, uint32_t sn,
                     bool final, bool spoil)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_DATA_OUT, final ? ISCSI_FINAL : 0};
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_ITT, itt);
    put_be32(bhs + ISCSI_BHS_TTT, ttt);
    put_be32(bhs + ISCSI_DATA_DATA_SN, sn);
    put_be32(bhs + ISCSI_DATA_OFFSET, offset);
    initiator_send(&host, wire, bhs, payload, bytes, spoil);
}

/* Answers an R2T: the oldest; in pieces of a * 256; b: mistakes, c: where to stop. */
static void step_answer(uint8_t a, uint8_t b, uint8_t c)
{
    initiator_pump(&host);
    if (!host.asked_count)
        return;
    struct asked r = host.asked[0];
    memmove(host.asked, host.asked + 1, --host.asked_count * sizeof(r));
    uint32_t piece = a ? a * 256u : 65536, sn = b & 1;
    for (uint32_t sent = 0, n; sent < r.length; sent += n) {
        n = r.length - sent < piece ? r.length - sent : piece;
        bool last = sent + n == r.length && !(b & 2);
        if (c && sn > c)
            return;
        data_out(b & 4 ? !r.wire : r.wire, r.itt, r.ttt ^ (b & 8), r.offset + sent + (b & 0x10), n, sn++, last,
                 b & 0x20 && last);
    }
}

/* Unsolicited data for the last write without F: a * 256 bytes in one PDU. */
static void step_unsolicited(uint8_t a, uint8_t b, uint8_t c)
{
    uint32_t bytes = a * 256u;
    data_out(ON_SECOND(c), host.unsolicited_itt, ISCSI_TAG_NONE, host.unsolicited_at, bytes, b & 7, b & 0x80,
             b & 0x40);
    host.unsolicited_at += bytes;
}

static void step_ping(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_NOP_OUT | (c & 0x40 ? ISCSI_IMMEDIATE : 0), ISCSI_FINAL};
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, a * 256u + b);
    put_be32(bhs + ISCSI_BHS_ITT, c & 1 ? ISCSI_TAG_NONE : host.itt++);
    put_be32(bhs + ISCSI_BHS_TTT, c & 2 ? 1 : ISCSI_TAG_NONE);
    put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn);
    host.cmd_sn += !(c & 0x40);
    initiator_send(&host, ON_SECOND(c), bhs, payload, a * 256u + b, c & 0x20);
}

/* a: function; b: how far back the referenced command lies. */
static void step_manage(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_TASK_MANAGEMENT | (c & 0x40 ? ISCSI_IMMEDIATE : 0),
                                    (uint8_t)(ISCSI_FINAL | (a & 0xf))};
    bhs[ISCSI_BHS_LUN + 1] = c >> 5 & 1;
    put_be32(bhs + ISCSI_BHS_ITT, host.itt++);
    put_be32(bhs + ISCSI_TMF_REFERENCED_TAG, host.itt - 1 - b);
    put_be32(bhs + ISCSI_TMF_REF_CMD_SN, host.cmd_sn - b / 2);
    put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn);
    host.cmd_sn += !(c & 0x40);
    initiator_send(&host, ON_SECOND(c), bhs, NULL, 0, false);
}

static void step_text(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_TEXT | (c & 0x40 ? ISCSI_IMMEDIATE : 0), b & 0xc0};
    uint8_t text[256];
    uint32_t bytes = take_bytes(text, a);
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_ITT, c & 1 ? host.itt - 1 : host.itt++);
    put_be32(bhs + ISCSI_BHS_TTT, b & 1 ? 2 : ISCSI_TAG_NONE);
    put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn);
    host.cmd_sn += !(c & 0x40);
    initiator_send(&host, ON_SECOND(c), bhs, text, bytes, c & 0x20);
}

static void step_logout(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_LOGOUT | (c & 0x40 ? ISCSI_IMMEDIATE : 0),
                                    (uint8_t)(ISCSI_FINAL | (a & 3))};
    put_be32(bhs + ISCSI_BHS_ITT, host.itt++);
    put_be16(bhs + ISCSI_LOGOUT_CID, b & 1);
    put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn);
    host.cmd_sn += !(c & 0x40);
    initiator_send(&host, ON_SECOND(c), bhs, NULL, 0, false);
}

/* A header of the input's own, with a * 64 bytes of data; b: what is put right. */
static void step_any(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {0};
    take_bytes(bhs, sizeof(bhs));
    if (!(b & 1))
        put_be32(bhs + ISCSI_BHS_CMD_SN, host.cmd_sn++);
    if (!(b & 2))
        put_be24(bhs + ISCSI_BHS_DATA_LENGTH, a * 64u);
    else
        host.wires[ON_SECOND(c)].lost = true;
    if (!(b & 4))
        bhs[ISCSI_BHS_AHS_WORDS] = 0;
    else
        host.wires[ON_SECOND(c)].lost = true;
    initiator_send(&host, ON_SECOND(c), bhs, payload, a * 64u, false);
}

/* A command with a CDB of the input's own. */
static void step_cdb(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t cdb[ISCSI_CDB_BYTES] = {0};
    take_bytes(cdb, sizeof(cdb));
    command(c, (uint8_t)(ISCSI_FINAL | (b & 0x60) | (c & 7)), cdb, a * 128u, b & 0x80 ? a * 64u : 0, false);
}

static void step_raw(uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t bytes[256];
    uint32_t n = take_bytes(bytes, a);
    host.wires[ON_SECOND(c)].lost = true;
    initiator_raw(&host, ON_SECOND(c), bytes, n);
}

/* Gives the engine time, and the disk its way. */
static void step_wait(uint8_t a, uint8_t b, uint8_t c)
{
    if (a & 1)
        engine_rig_release(&rig, 0, options & OPT_HOLD);
    initiator_sync(&host);
}

/* CmdSN from here on: some further, or some back. */
static void step_number(uint8_t a, uint8_t b, uint8_t c)
{
    host.cmd_sn += (uint32_t)(int8_t)a;
}

/* Takes the tag of the last command again. */
static void step_tag(uint8_t a, uint8_t b, uint8_t c)
{
    host.itt -= a & 7;
}

/* How it sends and receives from here on. */
static void step_manner(uint8_t a, uint8_t b, uint8_t c)
{
    struct wire *w = &host.wires[ON_SECOND(c)];
    w->chunk = a & 0x3f ? (a & 0x3f) * 13u : 0;
    w->deaf |= b == 0x55;
}

/* Closes a wire, perhaps opens it again: a further connection, a reinstatement, or a new session. */
static void step_wire(uint8_t a, uint8_t b, uint8_t c)
{
    unsigned wire = ON_SECOND(c);
    if (a & 1)
        initiator_close(&host, wire, a & 2);
    if (a & 4)
        host.tsih = 0;
    if (!(a & 8))
        return;
    initiator_close(&host, wire, a & 2);
    engine_rig_release(&rig, 0, false); /* a reinstatement waits for the old session's end */
    login(wire);
}

static void (*const steps[16])(uint8_t a, uint8_t b, uint8_t c) = {
    step_read, step_write, step_answer, step_unsolicited, step_ping, step_manage, step_text,   step_logout,
    step_any,  step_cdb,   step_raw,    step_wait,        step_number, step_tag,  step_manner, step_wire};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.acceptor)
        setup();
    if (size < 2)
        return 0;
    host = (struct initiator){.rig = &rig, .cmd_sn = data[1] & 0x80 ? 0xfffffff8u : 1, .itt = 100};
    host.wires[0].fd = host.wires[1].fd = -1;
    options = data[0];
    host.isid_end = data[1] & 3;
    input = data + 2;
    input_left = size - 2;
    login(0);
    if (options & OPT_SECOND_WIRE)
        login(1);
    if (options & OPT_HOLD)
        engine_rig_hold(&rig, 0);
    uint8_t step[4];
    for (unsigned n = 0; n < STEPS_MAX && take_bytes(step, sizeof(step)) == sizeof(step); n++) {
        steps[step[0] & 15](step[1], step[2], step[3]);
        initiator_pump(&host);
    }
    for (unsigned wire = 0; wire < WIRES; wire++)
        initiator_close(&host, wire, options & OPT_RESET);
    engine_rig_settle(&rig);
    return 0;
}

#define READ(a, b, c)    "\x00" a b c
#define WRITE(a, b, c)   "\x01" a b c
#define ANSWER(a, b, c)  "\x02" a b c
#define UNASKED(a, b, c) "\x03" a b c
#define PING(a, b, c)    "\x04" a b c
#define MANAGE(a, b, c)  "\x05" a b c
#define TEXT(a, b, c)    "\x06" a b c
#define LOGOUT(a, b, c)  "\x07" a b c
#define ANY(a, b, c)     "\x08" a b c
#define CDB(a, b, c)     "\x09" a b c
#define WAIT             "\x0b\x00\x00\x00"
#define RELEASE          "\x0b\x01\x00\x00"
#define NUMBER(a)        "\x0c" a "\x00\x00"
#define TAG(a)           "\x0d" a "\x00\x00"
#define MANNER(a, b, c)  "\x0e" a b c
#define WIRE(a, c)       "\x0f" a "\x00" c

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x00\x00" READ("\x00", "\x10", "\x01") READ("\x05", "\xff", "\x21") WAIT),
    FUZZ_SEED("\x03\x01" READ("\x00", "\x10", "\x01") READ("\x05", "\xff", "\x21") WRITE("\x10", "\x20", "\x01")
                  WAIT LOGOUT("\x00", "\x00", "\x40") WAIT),
    FUZZ_SEED("\x00\x80" WRITE("\x10", "\x00", "\x01") WAIT ANSWER("\x00", "\x00", "\x00")
                  WRITE("\x3f", "\x03", "\x29") WAIT ANSWER("\x20", "\x00", "\x00") WAIT),
    FUZZ_SEED("\x04\x00" WRITE("\x20", "\x81", "\x01") UNASKED("\x04", "\x00", "\x00") UNASKED("\x04", "\x81", "\x00")
                  WAIT ANSWER("\x08", "\x00", "\x00") WAIT),
    FUZZ_SEED("\x0b\x00" WRITE("\x20", "\x00", "\x01") WAIT ANSWER("\x08", "\x20", "\x00") WAIT READ("\0", "\x04", "\x01")
                  WAIT),
    FUZZ_SEED("\x20\x00" READ("\x00", "\x10", "\x01") WRITE("\x08", "\x20", "\x01") READ("\x00", "\x10", "\x02")
                  READ("\x00", "\x10", "\x02") MANAGE("\x01", "\x03", "\x40") MANAGE("\x02", "\x03", "\x40") WAIT RELEASE WAIT),
    FUZZ_SEED("\x20\x00" READ("\x00", "\x10", "\x01") WRITE("\x08", "\x00", "\x01") MANAGE("\x05", "\x00", "\x40") WAIT
                  RELEASE MANAGE("\x06", "\x00", "\x00") WAIT MANAGE("\x07", "\x00", "\x00") WAIT),
    FUZZ_SEED("\x20\x00" READ("\0", "\xff", "\x01") READ("\0", "\xff", "\x01") READ("\0", "\xff", "\x01")
                  WRITE("\x3f", "\x20", "\x09") WRITE("\x3f", "\x20", "\x0a") WRITE("\xff", "\x00", "\x09") RELEASE WAIT
                      ANSWER("\x00", "\x00", "\x00") WAIT),
    FUZZ_SEED("\x10\x00" READ("\0", "\x04", "\x01") READ("\0", "\x04", "\x81") NUMBER("\x01") READ("\0", "\x04", "\x81")
                  NUMBER("\xfe") WRITE("\x08", "\x20", "\x01") NUMBER("\x01") WAIT LOGOUT("\x01", "\x01", "\x40") WAIT
                      READ("\0", "\x04", "\x01") WAIT),
    FUZZ_SEED("\x10\x00" NUMBER("\x02") WRITE("\x08", "\x20", "\x81") MANAGE("\x01", "\x01", "\x00") PING("\0", "\x08", "\x80")
                  WAIT WIRE("\x01", "\x80") NUMBER("\xfb") READ("\0", "\x04", "\x01") READ("\0", "\x04", "\x01") WAIT),
    FUZZ_SEED("\x00\x00" NUMBER("\x01") WRITE("\x10", "\x20", "\x01") MANAGE("\x01", "\x01", "\x40") NUMBER("\xfe")
                  READ("\0", "\x04", "\x01") NUMBER("\x01") WAIT),
    FUZZ_SEED("\x00\x00" PING("\x00", "\x10", "\x40") PING("\x80", "\x01", "\x00") PING("\x00", "\x00", "\x41")
                  PING("\xff", "\xff", "\x40") WAIT),
    FUZZ_SEED("\x00\x00" TEXT("\x0c", "\x80", "\x00") "SendTargets=" TEXT("\x20", "\x40", "\x40")
              "MaxRecvDataSegmentLength=8192\0X-"
              "a" TEXT("\x00", "\x81", "\x41") WAIT),
    FUZZ_SEED("\x00\x00" ANY("\x00", "\x00", "\x00") "\x10\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0"
              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" WAIT ANY("\x04", "\x06", "\x00")
              "\x01\xc1\0\0\2\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\x10\0\0\0\0\0\0\0\0\0\x28\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0" WAIT),
    FUZZ_SEED("\x00\x00" CDB("\x02", "\x40", "\x01") "\x12\0\0\0\x60\0\0\0\0\0\0\0\0\0\0\0" CDB("\x04", "\xa0", "\x01")
              "\x41\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0" CDB("\x00", "\x00", "\x01") "\x35\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" WAIT),
    FUZZ_SEED("\x00\x00" MANNER("\x00", "\x55", "\x00") READ("\0", "\xff", "\x01") READ("\0", "\xff", "\x21")
                  PING("\x20", "\0", "\x40") PING("\x20", "\0", "\x40") WRITE("\x20", "\x00", "\x01") ANSWER("\0", "\0", "\0")
                      UNASKED("\x02", "\x80", "\x00") WAIT),
    FUZZ_SEED("\x03\x00" MANNER("\x01", "\x00", "\x00") WRITE("\x10", "\x20", "\x01") WRITE("\x3f", "\x05", "\x09") WAIT
                  ANSWER("\xff", "\x00", "\x00") WAIT),
    FUZZ_SEED("\x60\x00" READ("\0", "\x40", "\x01") WRITE("\x10", "\x20", "\x01") WIRE("\x0f", "\x00") READ("\0", "\x04", "\x01")
                  WAIT WIRE("\x08", "\x80") READ("\0", "\x04", "\x81") WAIT WIRE("\x08", "\x80") WAIT),
    FUZZ_SEED("\x00\x00" WRITE("\x10", "\x00", "\x01") TAG("\x01") READ("\0", "\x04", "\x01") TAG("\x02")
                  MANAGE("\x01", "\x01", "\x00") READ("\0", "\x04", "\x01") WAIT),
    {NULL, 0},
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED(WAIT),
    FUZZ_SEED(RELEASE),
    FUZZ_SEED(READ("\0", "\x20", "\x01")),
    FUZZ_SEED(READ("\0", "\xff", "\x02")),
    FUZZ_SEED(WRITE("\x3f", "\x20", "\x09")),
    FUZZ_SEED(WRITE("\x20", "\x80", "\x02")),
    FUZZ_SEED(ANSWER("\0", "\0", "\0")),
    FUZZ_SEED(MANAGE("\x01", "\x01", "\x40")),
    FUZZ_SEED(MANAGE("\x02", "\0", "\0")),
    FUZZ_SEED(MANAGE("\x05", "\0", "\x60")),
    FUZZ_SEED(NUMBER("\x01")),
    FUZZ_SEED(NUMBER("\xff")),
    FUZZ_SEED(TAG("\x01")),
    FUZZ_SEED(PING("\x20", "\x03", "\x40")),
    FUZZ_SEED(LOGOUT("\0", "\0", "\x40")),
    FUZZ_SEED(WIRE("\x08", "\x80")),
    FUZZ_SEED(WIRE("\x0c", "\0")),
    {NULL, 0},
};
