/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CDBs and their data against two RAM disks, a thin one and one that READ is sent from. The bench
 * checks every answer and every request to the disk; here it is also checked that a command never
 * leaves anything behind, and that READ answers with what is on the disk.
 *
 * An input is a series of commands:
 *   control 1 (R, W, LUN in two bits, nexus, abort, small elements, large length) |
 *   expected length 2 | CDB 16 | bytes of data 2 | data
 */
#include "fuzz.h"

#include <string.h>

#include "rig.h"

#define COMMANDS_MAX 16
#define HEADER       21
#define DATA_MAX     (65535u * 64u)

static struct rig rig;
static const uint8_t naa[8] = { 0x50, 0, 0, 0, 0, 0, 0, 1 }; /* of LUN 0, for copies */
static struct disk *second_disk;
static struct scsi_unit *second;
static uint8_t data_out[DATA_MAX];

static void setup(void)
{
    rig_setup(&rig,
              &(struct disk_options){ .granule = 4096,
                                      .max_io = 16384,
                                      .features = THIN_FEATURES | BACKEND_FEATURE_VOLATILE_CACHE },
              &(struct scsi_unit_config){ .naa = naa, .naa_bytes = sizeof(naa) });
    second_disk = disk_new(&(struct disk_options){ .blocks = 300, .block = 4096, .store = true });
    second = rig_unit(second_disk, 1, NULL);
    struct scsi_unit *units[] = { rig.unit, second };
    rig_publish(&rig, units, 2);
}

static bool is_plain_read(const struct scsi_command *cmd)
{
    return cmd->status == SCSI_GOOD && !cmd->aborted && cmd->data_in_bytes &&
           (cmd->cdb[0] == 0x08 || cmd->cdb[0] == 0x28 || cmd->cdb[0] == 0x88 ||
            cmd->cdb[0] == 0xa8);
}

static void check_answer(const struct task *task)
{
    const struct scsi_command *cmd = &task->cmd;

    g_assert_true(cmd->status == SCSI_GOOD || cmd->status == SCSI_CHECK_CONDITION ||
                  cmd->status == SCSI_RESERVATION_CONFLICT);
    g_assert_cmpuint(cmd->transfer_length, <=, SCSI_TRANSFER_MAX);
    g_assert_cmpuint(cmd->data_in_bytes, <=, cmd->transfer_length);
    if (is_plain_read(cmd)) {
        const struct disk *disk = cmd->unit == second ? second_disk : rig.disk;
        g_assert_cmpmem(task->in, task->in_bytes, disk->data + (cmd->lba << cmd->unit->block_shift),
                        task->in_bytes);
    }
}

static void run_command(const uint8_t *header, const uint8_t *data, size_t bytes)
{
    static const uint64_t luns[4] = { 0, 0x0001000000000000ull, 0x4000000000000000ull,
                                      0x0002000000000000ull };
    uint8_t control = header[0];
    uint32_t expected = get_be16(header + 1);
    struct ask ask = { .nexus = control & 0x10 ? rig.b : rig.a,
                       .lun = luns[control >> 2 & 3],
                       .cdb = header + 3,
                       .in = control & 1,
                       .out = control & 2,
                       .data = data_out };

    ask.expected = control & 0x80 ? expected * 64 : expected;
    if (control & 0x40)
        ask.element = ask.expected < 16384 ? 512 : 0;
    memcpy(data_out, data, bytes);
    rig.disk->log_count = second_disk->log_count = 0;
    struct task *task = task_start(&rig, &ask);
    if (!task->ended && (control & 0x20))
        scsi_abort(&task->cmd);
    else if (!task->ended)
        task_execute(task);
    if (!task->ended)
        rig_turn(&rig);
    g_assert_true(task->ended);
    check_answer(task);
    task_free(task);
}

static void forget_registrations(struct scsi_unit *unit)
{
    pr_table_free(atomic_exchange(&unit->home.table, NULL));
    atomic_fetch_add(&unit->home.version, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig.unit)
        setup();
    for (unsigned n = 0; n < COMMANDS_MAX && size >= HEADER; n++) {
        size_t bytes = get_be16(data + 19);
        if (bytes > size - HEADER)
            bytes = size - HEADER;
        run_command(data, data + HEADER, bytes);
        data += HEADER + bytes;
        size -= HEADER + bytes;
    }
    /* The same state for every input. */
    rig_turn(&rig);
    atomic_store(&rig.unit->not_ready, 0);
    atomic_store(&second->not_ready, 0);
    g_assert_cmpuint(rig.a->active + rig.b->active, ==, 0);
    g_assert_cmpuint(scsi_unit_active(rig.unit) + scsi_unit_active(second), ==, 0);
    g_assert_cmpuint(bufpool_used(rig.pool), ==, 0);
    forget_registrations(rig.unit);
    forget_registrations(second);
    scsi_unit_reset(rig.unit, false);
    scsi_unit_reset(second, false);
    scsi_nexus_lost(rig.a);
    scsi_nexus_lost(rig.b);
    for (unsigned i = 0; i < 2; i++) {
        rig.a->units[i].flags = 0;
        rig.b->units[i].flags = 0;
    }
    rig_turn(&rig);
    return 0;
}

/* control, length, CDB of 16, data length, data */
#define COMMAND(control, length, cdb) FUZZ_SEED(control length cdb "\0\0")
#define Z6                            "\0\0\0\0\0\0"
#define Z4                            "\0\0\0\0"

const struct fuzz_seed fuzz_seeds[] = {
    /* copies, overlapping and in bytes; status */
    FUZZ_SEED("\002\000\154\203\000\000\000\000\000\000\000\000\000\000\000\000\154\000\000\000"
              "\154\001\000\000\040\000\000\000\000\000\000\000\074\000\000\000\000\344\000\000"
              "\000\001\003\000\010\120\000\000\000\000\000\000\001\000\000\000\000\000\000\000"
              "\000\000\000\000\000\000\000\000\000\002\000\000\030\000\000\000\000\000\000\001"
              "\054\000\000\000\000\000\000\000\012\000\000\000\000\000\000\000\013\012\000\000"
              "\034\000\000\000\000\000\000\013\270\000\000\000\000\000\000\000\003\000\000\000"
              "\000\000\000\000\011\000\021\001\220\001\001\000\204\000\001\000\000\000\000\000"
              "\000\000\000\000\001\000\000\000\000\000"),
    /* a copy that fails; details */
    FUZZ_SEED("\002\000\114\203\000\000\000\000\000\000\000\000\000\000\000\000\114\000\000\000"
              "\114\001\000\000\040\000\000\000\000\000\000\000\034\000\000\000\000\344\000\000"
              "\000\001\003\000\010\120\000\000\000\000\000\000\001\000\000\000\000\000\000\000"
              "\000\000\000\000\000\000\000\000\000\002\000\000\030\000\000\000\001\000\000\001"
              "\054\000\000\000\000\000\000\000\012\000\000\000\000\000\000\000\013\001\001\000"
              "\204\004\001\000\000\000\000\000\000\000\000\000\001\000\000\000\000\000\001\001"
              "\000\204\003\000\000\000\000\000\000\000\000\000\000\001\000\000\000\000\000"),
    /* log pages */
    FUZZ_SEED("\001\001\000\115\000\100\000\000\000\000\001\000\000\000\000\000\000\000\000\000"
              "\000\001\001\000\115\000\114\000\000\000\000\001\000\000\000\000\000\000\000\000"
              "\000\000\001\001\000\115\000\131\000\000\000\001\001\000\000\000\000\000\000\000"
              "\000\000\000\001\001\000\115\000\100\377\000\000\000\001\000\000\000\000\000\000"
              "\000\000\000\000"),
    /* buffers */
    FUZZ_SEED("\002\000\005\073\002\000\000\000\001\000\000\005\000\000\000\000\000\000\000\000"
              "\005\150\145\154\154\157\001\001\000\074\002\000\000\000\000\000\001\000\000\000"
              "\000\000\000\000\000\000\000\002\000\004\073\012\000\000\000\000\000\000\004\000"
              "\000\000\000\000\000\000\000\004\145\143\150\157\001\001\000\074\012\000\000\000"
              "\000\000\001\000\000\000\000\000\000\000\000\000\000"),
    /* identifying information, time, diagnostics */
    FUZZ_SEED("\002\000\004\244\006\000\000\000\000\000\000\000\004\004\000\000\000\000\000\000"
              "\004\141\142\143\000\001\001\000\243\005\000\000\000\000\000\000\001\000\004\000"
              "\000\000\000\000\000\000\002\000\014\244\017\000\000\000\000\000\000\000\014\000"
              "\000\000\000\000\000\000\014\000\000\000\000\000\000\000\000\000\000\000\000\001"
              "\000\014\243\017\000\000\000\000\000\000\000\014\000\000\000\000\000\000\000\000"
              "\002\000\004\035\020\000\000\004\000\000\000\000\000\000\000\000\000\000\000\000"
              "\004\000\000\000\000"),
    COMMAND("\x01", "\x02\x00", "\x28\0\0\0\0\5\0\0\1\0" Z6),
    COMMAND("\x02", "\x02\x00", "\x2a\x08\0\0\0\5\0\0\1\0" Z6),
    COMMAND("\x82", "\x01\x00", "\x8a\0\0\0\0\0\0\0\0\1\0\0\0\x20\0\0"),
    COMMAND("\x81", "\x01\x00", "\x88\0\0\0\0\0\0\0\0\1\0\0\0\x20\0\0"),
    COMMAND("\x05", "\x10\x00", "\xa8\0\0\0\0\7\0\0\0\1\0\0" Z4),
    COMMAND("\x02", "\x00\xc8", "\xaa\0\0\0\0\7\0\0\0\1\0\0" Z4),
    COMMAND("\x01", "\x04\x00", "\x08\0\0\1\2\0" Z6 Z4),
    COMMAND("\x02", "\x04\x00", "\x0a\0\0\1\2\0" Z6 Z4),
    COMMAND("\x02", "\x04\x00", "\x2e\x02\0\0\0\1\0\0\2\0" Z6),
    COMMAND("\x02", "\x04\x00", "\x2f\x02\0\0\0\1\0\0\2\0" Z6),
    COMMAND("\x02", "\x02\x00", "\x2f\x06\0\0\0\1\0\0\2\0" Z6),
    COMMAND("\x00", "\x00\x00", "\x8f\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0"),
    COMMAND("\x00", "\x00\x00", "\x35\0\0\0\0\0\0\0\0\0" Z6),
    COMMAND("\x00", "\x00\x00", "\x34\0\0\0\0\0\0\0\1\0" Z6),
    COMMAND("\x02", "\x02\x00", "\x41\0\0\0\0\3\0\0\x20\0" Z6),
    COMMAND("\x00", "\x00\x00", "\x93\x09\0\0\0\0\0\0\0\3\0\0\0\x20\0\0"),
    FUZZ_SEED(
        "\x02\x00\x28\x42\0\0\0\0\0\0\0\x28\0" Z6 "\0\x28"
        "\0\x26\0\x20\0\0\0\0\0\0\0\0\0\0\0\3\0\0\0\x15\0\0\0\0\0\0\0\0\0\0\7\xff\0\0\0\1\0\0\0\0"
        "\x01\x00\x48\x9e\x12\0\0\0\0\0\0\0\0\0\0\0\x48\0\0\0\0"),
    COMMAND("\x01", "\x01\x00", "\x9e\x12\0\0\0\0\0\0\0\4\0\0\1\0\0\0"),
    COMMAND("\x01", "\x00\x20", "\x9e\x10\0\0\0\0\0\0\0\0\0\0\0\x20\0\0"),
    COMMAND("\x01", "\x00\x08", "\x25\0\0\0\0\0\0\0\0\0" Z6),
    COMMAND("\x01", "\x00\xff", "\x12\0\0\0\xff\0" Z6 Z4),
    COMMAND("\x01", "\x00\xff", "\x12\1\x83\0\xff\0" Z6 Z4),
    COMMAND("\x09", "\x00\xff", "\x12\1\xb0\0\xff\0" Z6 Z4),
    COMMAND("\x01", "\x00\xff", "\x1a\0\x3f\xff\xff\0" Z6 Z4),
    COMMAND("\x01", "\x01\x00", "\x5a\x10\x0a\0\0\0\0\1\0\0" Z6),
    FUZZ_SEED("\x02\x00\x18\x15\x10\0\0\x18\0" Z6 Z4 "\0\x18"
              "\0\0\0\x08\0\0\x08\0\0\0\2\0\x0a\x0a\x26\x10\0\0\0\0\xff\xff\0\0"),
    FUZZ_SEED("\x02\x00\x1c\x55\x10\0\0\0\0\0\0\x1c\0" Z6 "\0\x1c"
              "\0\0\0\0\0\0\0\0\x08\x12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    COMMAND("\x00", "\x00\x00", "\x00\0\0\0\0\0" Z6 Z4),
    COMMAND("\x0d", "\x00\xff", "\x03\1\0\0\xff\0" Z6 Z4),
    COMMAND("\x00", "\x00\x00", "\x1b\0\0\0\0\0" Z6 Z4),
    COMMAND("\x0d", "\x02\x00", "\xa0\0\0\0\0\0\0\0\2\0\0\0" Z4),
    COMMAND("\x01", "\x10\x00", "\xa3\x0c\x80\0\0\0\0\0\x10\0\0\0" Z4),
    COMMAND("\x01", "\x10\x00", "\xa3\x0c\x82\x9e\0\x10\0\0\x10\0\0\0" Z4),
    COMMAND("\x01", "\x00\x10", "\xa3\x0d\x80\0\0\0\0\0\0\x10\0\0" Z4),
    FUZZ_SEED("\x02\x00\x04\x89\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\0"),
    FUZZ_SEED("\x82\x00\x10\x89\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\0"),
    COMMAND("\x82", "\x00\x08", "\x8b\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0"),
    COMMAND("\x86", "\x00\x40", "\x9c\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0"),
    COMMAND("\x01", "\x01\x00", "\x5e\0\0\0\0\0\0\1\0\0" Z6),
    COMMAND("\x01", "\x01\x00", "\x5e\1\0\0\0\0\0\1\0\0" Z6),
    COMMAND("\x01", "\x01\x00", "\x5e\2\0\0\0\0\0\1\0\0" Z6),
    COMMAND("\x01", "\x01\x00", "\x5e\3\0\0\0\0\0\1\0\0" Z6),
    FUZZ_SEED("\x02\0\x18\x5f\0\0\0\0\0\0\0\x18\0" Z6 "\0\x18"
              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0"
              "\x02\0\x18\x5f\1\3\0\0\0\0\0\x18\0" Z6 "\0\x18"
              "\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
              "\x11\2\0\x28\0\0\0\0\0\0\0\1\0" Z6 "\0\0"
              "\x12\0\x18\x5f\6\0\0\0\0\0\0\x18\0" Z6 "\0\x18"
              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0\0"
              "\x12\0\x18\x5f\5\1\0\0\0\0\0\x18\0" Z6 "\0\x18"
              "\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0"),
    FUZZ_SEED("\x02\0\x38\x5f\0\0\0\0\0\0\0\x38\0" Z6 "\0\x38"
              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\x8\0\0\0\0\0\0\x1c"
              "\x45\0\0\x18iqn.2000-01.a.b,i,0x1\0\0"),
    COMMAND("\x00", "\x00\x00", "\x16\0\0\0\0\0" Z6 Z4),
    COMMAND("\x10", "\x00\x00", "\x56\0\0\0\0\0\0\0\0\0" Z6),
    COMMAND("\x00", "\x00\x00", "\x17\0\0\0\0\0" Z6 Z4),
    COMMAND("\x00", "\x00\x00", "\x48\x02\0\0\0\0\0\0\0\0" Z6),
    COMMAND("\x04", "\x00\x00", "\x48\x83\0\0\0\0\0\0\0\0" Z6),
    FUZZ_SEED("\x02\0\x08\x48\1\0\0\0\0\0\0\x08\0" Z6 "\0\x08\1\0\0\4abcd"),
    COMMAND("\x04", "\x00\x00", "\x1e\0\0\0\1\0" Z6 Z4),
    COMMAND("\x04", "\x00\x00", "\x1b\0\0\0\2\0" Z6 Z4),
    COMMAND("\x01", "\x00\x20", "\x37\0\x1d\0\0\0\0\0\x20\0" Z6),
    COMMAND("\x01", "\x00\x40", "\xa3\x2a\0\0\0\0\0\0\0\x40\0\0" Z4),
    FUZZ_SEED("\x02\0\x08\xa4\x0a\0\0\0\0\0\0\0\x08\0\0" Z4 "\0\x08\0\0\0\0\1\0\0\1"),
    { NULL, 0 },
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED("\xff\xff\xff\xff"),
    FUZZ_SEED("\xff\xff\xff\xff\xff\xff\xff\xff"),
    FUZZ_SEED("\0\0\7\xff"),
    FUZZ_SEED("\0\0\x08\0"),
    FUZZ_SEED("\x80\0\0\0"),
    FUZZ_SEED("\0\0\0\0\0\0\0\0"),
    FUZZ_SEED("\x02\0"),
    FUZZ_SEED("\x10\0"),
    { NULL, 0 },
};
