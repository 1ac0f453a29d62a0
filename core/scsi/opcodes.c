/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rows. Usage bytes have a 1 for every bit that is looked at or may be set (SPC-4 6.35.3);
 * byte 0 is the opcode and the service action stands in its field. The last byte, CONTROL, is 0:
 * NACA is refused.
 */
#include "scsi/opcode.h"

#define ALL4        0xff, 0xff, 0xff, 0xff
#define ALL8        ALL4, ALL4
#define QUICK       .nominal_s = 0, .recommended_s = 30
#define LONG        .nominal_s = 0, .recommended_s = 120
#define REPLY(fn)   .reply = fn
#define RUN(st, ex) .start = st, .execute = ex

#define ROW_6(op, text)  .name = text, .opcode = op, .service_action = SA_NONE, .cdb_bytes = 6
#define ROW_10(op, text) .name = text, .opcode = op, .service_action = SA_NONE, .cdb_bytes = 10
#define ROW_12(op, text) .name = text, .opcode = op, .service_action = SA_NONE, .cdb_bytes = 12
#define ROW_16(op, text) .name = text, .opcode = op, .service_action = SA_NONE, .cdb_bytes = 16

/* Commands with LBA and length: usage of byte 1 and of the group number. */
#define BLOCK_6(op) .layout = CDB_6, .length_at = 4, .usage = { op, 0x1f, 0xff, 0xff, 0xff }
#define BLOCK_10(op, byte1)                                                                        \
    .layout = CDB_10, .length_at = 7, .usage = { op, byte1, ALL4, 0x1f, 0xff, 0xff }
#define BLOCK_12(op, byte1)                                                                        \
    .layout = CDB_12, .length_at = 6, .usage = { op, byte1, ALL4, ALL4, 0x1f }
#define BLOCK_16(op, byte1)                                                                        \
    .layout = CDB_16, .length_at = 10, .usage = { op, byte1, ALL8, ALL4, 0x1f }

/* What other nexuses' reservations keep away (SPC-4 table 66, SBC-3 table 13), and the states of the
   target port (SPC-4 5.15.2.4). */
#define AWAY     (DENY_STANDBY | DENY_UNAVAILABLE)
#define FREE     .denied_by = 0
#define ASKS     .denied_by = DENY_LEGACY
#define LISTS    .denied_by = DENY_READ | DENY_LEGACY
#define ALTERS   .denied_by = DENY_WRITE | DENY_LEGACY
#define TESTS    .denied_by = DENY_LEGACY | AWAY
#define SIZES    .denied_by = AWAY
#define LOOKS    .denied_by = DENY_READ | DENY_LEGACY | AWAY
#define CHANGES  .denied_by = DENY_WRITE | DENY_LEGACY | AWAY
#define RESERVES .denied_by = DENY_LEGACY | DENY_UNAVAILABLE
#define MODES(d) .denied_by = d | DENY_LEGACY | DENY_UNAVAILABLE

#define READS       .flags = OP_MEDIUM | OP_PROTECT | OP_FUA | OP_RANGE, LOOKS
#define WRITES      .flags = OP_MEDIUM | OP_WRITES | OP_PROTECT | OP_FUA | OP_RANGE, CHANGES
#define FILLS       .flags = OP_MEDIUM | OP_WRITES | OP_PROTECT | OP_RANGE, CHANGES
#define ALONE_FLAGS (OP_MEDIUM | OP_WRITES | OP_PROTECT | OP_FUA | OP_RANGE | OP_ALONE)
#define ALONE       .flags = ALONE_FLAGS, CHANGES
#define VERIFIES    .flags = OP_MEDIUM | OP_PROTECT, LOOKS

#define ALLOCATION(at, bytes) .length_at = at, .length_bytes = bytes

#define SANITIZE(action, text)                                                                     \
    .name = text, .opcode = 0x48, .service_action = action, .cdb_bytes = 10, LONG, .length_at = 7, \
    .usage = { 0x48, 0xa0 | action, 0, 0, 0, 0, 0, 0xff, 0xff }
#define SANITIZES                                                                                  \
    .flags = OP_WRITES | OP_RANGE | OP_ALONE, CHANGES, RUN(start_sanitize, execute_sanitize)
#define PERSISTENT_IN(action, text)                                                                \
    .name = text, .opcode = 0x5e, .service_action = action, .cdb_bytes = 10, RESERVES, QUICK,      \
    .flags = OP_ALWAYS, ALLOCATION(7, 2), .usage = { 0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff },    \
    RUN(start_persistent_in, execute_persistent_in)
#define PERSISTENT_OUT(action, text)                                                               \
    .name = text, .opcode = 0x5f, .service_action = action, .cdb_bytes = 10, RESERVES, QUICK,      \
    .flags = OP_ONCE, .length_at = 5, .usage = { 0x5f, action, 0xff, 0, 0, ALL4 },                 \
    RUN(start_persistent_out, execute_persistent_out)

#define COPY_RESULTS(action, text, list)                                                           \
    .name = text, .opcode = 0x84, .service_action = action, .cdb_bytes = 16, LOOKS, QUICK,         \
    ALLOCATION(10, 4), .usage = { 0x84, action, list, 0, 0, 0, 0, 0, 0, 0, ALL4 }

#define MAINTENANCE_IN(action, text)                                                               \
    .name = text, .opcode = 0xa3, .service_action = action, .cdb_bytes = 12, QUICK, ALLOCATION(6, 4)
#define MAINTENANCE_OUT(action, text)                                                              \
    .name = text, .opcode = 0xa4, .service_action = action, .cdb_bytes = 12, CHANGES, QUICK,       \
    .flags = OP_ONCE, .length_at = 6

const struct scsi_opcode scsi_opcodes[] = {
    { ROW_10(0x28, "READ(10)"), BLOCK_10(0x28, 0x18), READS, QUICK,
      RUN(start_read, execute_read_write) },
    { ROW_10(0x2a, "WRITE(10)"), BLOCK_10(0x2a, 0x18), WRITES, QUICK,
      RUN(start_write, execute_read_write) },
    { ROW_16(0x88, "READ(16)"), BLOCK_16(0x88, 0x18), READS, QUICK,
      RUN(start_read, execute_read_write) },
    { ROW_16(0x8a, "WRITE(16)"), BLOCK_16(0x8a, 0x18), WRITES, QUICK,
      RUN(start_write, execute_read_write) },
    { ROW_12(0xa8, "READ(12)"), BLOCK_12(0xa8, 0x18), READS, QUICK,
      RUN(start_read, execute_read_write) },
    { ROW_12(0xaa, "WRITE(12)"), BLOCK_12(0xaa, 0x18), WRITES, QUICK,
      RUN(start_write, execute_read_write) },
    { ROW_6(0x08, "READ(6)"), BLOCK_6(0x08), .flags = OP_MEDIUM | OP_RANGE, LOOKS, QUICK,
      RUN(start_read, execute_read_write) },
    { ROW_6(0x0a, "WRITE(6)"), BLOCK_6(0x0a), .flags = OP_MEDIUM | OP_WRITES | OP_RANGE, CHANGES,
      QUICK, RUN(start_write, execute_read_write) },

    { ROW_10(0x2e, "WRITE AND VERIFY(10)"), BLOCK_10(0x2e, 0x12), FILLS, QUICK,
      RUN(start_write_verify, execute_write_verify) },
    { ROW_12(0xae, "WRITE AND VERIFY(12)"), BLOCK_12(0xae, 0x12), FILLS, QUICK,
      RUN(start_write_verify, execute_write_verify) },
    { ROW_16(0x8e, "WRITE AND VERIFY(16)"), BLOCK_16(0x8e, 0x12), FILLS, QUICK,
      RUN(start_write_verify, execute_write_verify) },
    { ROW_10(0x2f, "VERIFY(10)"), BLOCK_10(0x2f, 0x16), VERIFIES, LONG,
      RUN(start_verify, execute_verify) },
    { ROW_12(0xaf, "VERIFY(12)"), BLOCK_12(0xaf, 0x16), VERIFIES, LONG,
      RUN(start_verify, execute_verify) },
    { ROW_16(0x8f, "VERIFY(16)"), BLOCK_16(0x8f, 0x16), VERIFIES, LONG,
      RUN(start_verify, execute_verify) },

    { ROW_10(0x34, "PRE-FETCH(10)"), BLOCK_10(0x34, 0x02), .flags = OP_MEDIUM, LOOKS, QUICK,
      RUN(start_range, execute_prefetch) },
    { ROW_16(0x90, "PRE-FETCH(16)"), BLOCK_16(0x90, 0x02), .flags = OP_MEDIUM, LOOKS, QUICK,
      RUN(start_range, execute_prefetch) },
    { ROW_10(0x35, "SYNCHRONIZE CACHE(10)"), BLOCK_10(0x35, 0x06), .flags = OP_MEDIUM, CHANGES,
      LONG, RUN(start_range, execute_synchronize_cache) },
    { ROW_16(0x91, "SYNCHRONIZE CACHE(16)"), BLOCK_16(0x91, 0x06), .flags = OP_MEDIUM, CHANGES,
      LONG, RUN(start_range, execute_synchronize_cache) },
    { ROW_10(0x41, "WRITE SAME(10)"), BLOCK_10(0x41, 0x08), FILLS, LONG,
      RUN(start_write_same, execute_write_same) },
    { ROW_16(0x93, "WRITE SAME(16)"), BLOCK_16(0x93, 0x09), FILLS, LONG,
      RUN(start_write_same, execute_write_same) },
    { ROW_10(0x42, "UNMAP"), .flags = OP_MEDIUM | OP_WRITES | OP_THIN | OP_RANGE, CHANGES, LONG,
      .usage = { 0x42, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff }, .length_at = 7,
      RUN(start_unmap, execute_unmap) },
    { ROW_16(0x89, "COMPARE AND WRITE"), .layout = CDB_COMPARE,
      .usage = { 0x89, 0x18, ALL8, 0, 0, 0, 0xff, 0x1f }, ALONE, QUICK,
      RUN(start_compare_and_write, execute_compare_and_write) },
    { ROW_16(0x8b, "ORWRITE(16)"), BLOCK_16(0x8b, 0x18), ALONE, QUICK,
      RUN(start_orwrite, execute_orwrite) },
    { ROW_16(0x9c, "WRITE ATOMIC(16)"), .layout = CDB_ATOMIC,
      .usage = { 0x9c, 0x18, ALL8, 0xff, 0xff, 0xff, 0xff, 0x1f }, .flags = ALONE_FLAGS | OP_ATOMIC,
      CHANGES, QUICK, RUN(start_write_atomic, execute_write_atomic) },
    { .name = "GET LBA STATUS",
      .opcode = 0x9e,
      .service_action = 0x12,
      .cdb_bytes = 16,
      .flags = OP_MEDIUM,
      LOOKS,
      QUICK,
      ALLOCATION(10, 4),
      .usage = { 0x9e, 0x12, ALL8, ALL4 },
      RUN(start_lba_status, execute_lba_status) },

    { ROW_6(0x00, "TEST UNIT READY"), .flags = OP_MEDIUM, TESTS, QUICK, .usage = { 0x00 },
      REPLY(reply_test_unit_ready) },
    { ROW_6(0x03, "REQUEST SENSE"), .flags = OP_ANY_LUN | OP_NO_UA | OP_ALWAYS | OP_ONCE, FREE,
      QUICK, ALLOCATION(4, 1), .usage = { 0x03, 0x01, 0, 0, 0xff }, REPLY(reply_request_sense) },
    { ROW_6(0x12, "INQUIRY"), .flags = OP_ANY_LUN | OP_NO_UA | OP_ALWAYS, FREE, QUICK,
      ALLOCATION(3, 2), .usage = { 0x12, 0x01, 0xff, 0xff, 0xff }, REPLY(reply_inquiry) },
    { ROW_6(0x15, "MODE SELECT(6)"), MODES(DENY_WRITE), QUICK, .flags = OP_ONCE, .length_at = 4,
      .usage = { 0x15, 0x11, 0, 0, 0xff }, RUN(start_mode_select, execute_mode_select) },
    { ROW_10(0x55, "MODE SELECT(10)"), MODES(DENY_WRITE), QUICK, .flags = OP_ONCE, .length_at = 7,
      .usage = { 0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff },
      RUN(start_mode_select, execute_mode_select) },
    { ROW_6(0x1a, "MODE SENSE(6)"), MODES(DENY_READ), QUICK, ALLOCATION(4, 1),
      .usage = { 0x1a, 0x08, 0xff, 0xff, 0xff }, REPLY(reply_mode_sense) },
    { ROW_10(0x5a, "MODE SENSE(10)"), MODES(DENY_READ), QUICK, ALLOCATION(7, 2),
      .usage = { 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff }, REPLY(reply_mode_sense) },
    { ROW_6(0x1b, "START STOP UNIT"), CHANGES, LONG, .flags = OP_ONCE,
      .usage = { 0x1b, 0x01, 0, 0x0f, 0xf7 }, .harmless = harmless_start_stop,
      RUN(start_start_stop, execute_start_stop) },
    { ROW_10(0x25, "READ CAPACITY(10)"), .flags = OP_MEDIUM, SIZES, QUICK,
      .usage = { 0x25, 0, ALL4, 0, 0, 0x01 }, REPLY(reply_read_capacity_10) },
    { .name = "READ CAPACITY(16)",
      .opcode = 0x9e,
      .service_action = 0x10,
      .cdb_bytes = 16,
      .flags = OP_MEDIUM,
      SIZES,
      QUICK,
      ALLOCATION(10, 4),
      .usage = { 0x9e, 0x10, ALL8, ALL4, 0x01 },
      REPLY(reply_read_capacity_16) },
    { ROW_12(0xa0, "REPORT LUNS"), .flags = OP_ANY_LUN | OP_NO_UA | OP_ALWAYS, FREE, QUICK,
      ALLOCATION(6, 4), .usage = { 0xa0, 0, 0xff, 0, 0, 0, ALL4 }, REPLY(reply_report_luns) },
    { .name = "REPORT TARGET PORT GROUPS",
      .opcode = 0xa3,
      .service_action = 0x0a,
      .cdb_bytes = 12,
      .flags = OP_ALWAYS,
      FREE,
      QUICK,
      ALLOCATION(6, 4),
      .usage = { 0xa3, 0xea, 0, 0, 0, 0, ALL4 },
      REPLY(reply_report_port_groups) },
    { .name = "SET TARGET PORT GROUPS",
      .opcode = 0xa4,
      .service_action = 0x0a,
      .cdb_bytes = 12,
      ALTERS,
      QUICK,
      .flags = OP_ONCE,
      .length_at = 6,
      .usage = { 0xa4, 0x0a, 0, 0, 0, 0, ALL4 },
      RUN(start_set_port_groups, execute_set_port_groups) },
    { .name = "REPORT SUPPORTED OPERATION CODES",
      .opcode = 0xa3,
      .service_action = 0x0c,
      .cdb_bytes = 12,
      .flags = OP_ALWAYS,
      LISTS,
      QUICK,
      ALLOCATION(6, 4),
      .usage = { 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, ALL4 },
      REPLY(reply_report_opcodes) },
    { .name = "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
      .opcode = 0xa3,
      .service_action = 0x0d,
      .cdb_bytes = 12,
      .flags = OP_ALWAYS,
      LISTS,
      QUICK,
      ALLOCATION(6, 4),
      .usage = { 0xa3, 0x0d, 0x80, 0, 0, 0, ALL4 },
      REPLY(reply_report_tmfs) },
    { SANITIZE(0x01, "SANITIZE, OVERWRITE"), SANITIZES },
    { SANITIZE(0x02, "SANITIZE, BLOCK ERASE"), SANITIZES },
    { SANITIZE(0x03, "SANITIZE, CRYPTOGRAPHIC ERASE"), SANITIZES },
    { SANITIZE(0x1f, "SANITIZE, EXIT FAILURE MODE"), .flags = OP_WRITES, CHANGES,
      RUN(start_sanitize, execute_sanitize_exit) },
    { ROW_6(0x1e, "PREVENT ALLOW MEDIUM REMOVAL"), .flags = OP_REMOVES, ALTERS, QUICK,
      .usage = { 0x1e, 0, 0, 0, 0x01 }, .harmless = harmless_prevent_allow,
      RUN(start_prevent_allow, execute_prevent_allow) },
    { ROW_10(0x37, "READ DEFECT DATA(10)"), .flags = OP_MEDIUM, LOOKS, QUICK, ALLOCATION(7, 2),
      .usage = { 0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff }, REPLY(reply_read_defects_10) },
    { ROW_12(0xb7, "READ DEFECT DATA(12)"), .flags = OP_MEDIUM, LOOKS, QUICK, ALLOCATION(6, 4),
      .usage = { 0xb7, 0x1f, ALL4, ALL4 }, REPLY(reply_read_defects_12) },
    { .name = "EXTENDED COPY(LID1)",
      .opcode = 0x83,
      .service_action = 0,
      .cdb_bytes = 16,
      .flags = OP_ONCE,
      CHANGES,
      LONG,
      .length_at = 10,
      .usage = { 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, ALL4 },
      RUN(start_extended_copy, execute_extended_copy) },
    { COPY_RESULTS(0x00, "RECEIVE COPY STATUS(LID1)", 0xff), REPLY(reply_copy_status) },
    { COPY_RESULTS(0x03, "RECEIVE COPY OPERATING PARAMETERS", 0), REPLY(reply_copy_parameters) },
    { COPY_RESULTS(0x04, "RECEIVE COPY FAILURE DETAILS(LID1)", 0xff),
      REPLY(reply_copy_failed_details) },
    { MAINTENANCE_IN(0x05, "REPORT IDENTIFYING INFORMATION"), ASKS,
      .usage = { 0xa3, 0x05, 0, 0, 0, 0, ALL4, 0xfe }, REPLY(reply_identifying) },
    { MAINTENANCE_OUT(0x06, "SET IDENTIFYING INFORMATION"),
      .usage = { 0xa4, 0x06, 0, 0, 0, 0, ALL4, 0xfe },
      RUN(start_set_identifying, execute_set_identifying) },
    { MAINTENANCE_IN(0x0f, "REPORT TIMESTAMP"), FREE, .usage = { 0xa3, 0x0f, 0, 0, 0, 0, ALL4 },
      REPLY(reply_timestamp) },
    { MAINTENANCE_OUT(0x0f, "SET TIMESTAMP"), .usage = { 0xa4, 0x0f, 0, 0, 0, 0, ALL4 },
      RUN(start_set_timestamp, execute_set_timestamp) },
    { ROW_10(0x4d, "LOG SENSE"), .flags = OP_ALWAYS, ASKS, QUICK, ALLOCATION(7, 2),
      .usage = { 0x4d, 0x03, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff },
      RUN(start_log_sense, execute_log_sense) },
    { ROW_10(0x4c, "LOG SELECT"), MODES(DENY_WRITE), QUICK, .length_at = 7,
      .usage = { 0x4c, 0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff },
      RUN(start_log_select, execute_nothing) },
    { ROW_10(0x3b, "WRITE BUFFER"), ALTERS, QUICK, .length_at = 6,
      .usage = { 0x3b, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
      RUN(start_write_buffer, execute_write_buffer) },
    { ROW_10(0x3c, "READ BUFFER"), LISTS, QUICK, ALLOCATION(6, 3),
      .usage = { 0x3c, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, REPLY(reply_read_buffer) },
    { ROW_6(0x1d, "SEND DIAGNOSTIC"), MODES(DENY_WRITE), LONG, .length_at = 3,
      .usage = { 0x1d, 0xf7, 0, 0xff, 0xff }, RUN(start_send_diagnostic, execute_send_diagnostic) },
    { ROW_6(0x1c, "RECEIVE DIAGNOSTIC RESULTS"), MODES(DENY_READ), QUICK, ALLOCATION(3, 2),
      .usage = { 0x1c, 0x01, 0xff, 0xff, 0xff }, REPLY(reply_diagnostic_results) },
    { PERSISTENT_IN(0x00, "PERSISTENT RESERVE IN, READ KEYS") },
    { PERSISTENT_IN(0x01, "PERSISTENT RESERVE IN, READ RESERVATION") },
    { PERSISTENT_IN(0x02, "PERSISTENT RESERVE IN, REPORT CAPABILITIES") },
    { PERSISTENT_IN(0x03, "PERSISTENT RESERVE IN, READ FULL STATUS") },
    { PERSISTENT_OUT(0x00, "PERSISTENT RESERVE OUT, REGISTER") },
    { PERSISTENT_OUT(0x01, "PERSISTENT RESERVE OUT, RESERVE") },
    { PERSISTENT_OUT(0x02, "PERSISTENT RESERVE OUT, RELEASE") },
    { PERSISTENT_OUT(0x03, "PERSISTENT RESERVE OUT, CLEAR") },
    { PERSISTENT_OUT(0x04, "PERSISTENT RESERVE OUT, PREEMPT") },
    { PERSISTENT_OUT(0x05, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT") },
    { PERSISTENT_OUT(0x06, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY") },
    { PERSISTENT_OUT(0x07, "PERSISTENT RESERVE OUT, REGISTER AND MOVE") },
    { PERSISTENT_OUT(0x08, "PERSISTENT RESERVE OUT, REPLACE LOST RESERVATION") },
    { ROW_6(0x16, "RESERVE(6)"), FREE, QUICK, .usage = { 0x16 },
      RUN(start_reserve, execute_reserve) },
    { ROW_6(0x17, "RELEASE(6)"), FREE, QUICK, .usage = { 0x17 },
      RUN(start_reserve, execute_release) },
    { ROW_10(0x56, "RESERVE(10)"), FREE, QUICK, .usage = { 0x56 },
      RUN(start_reserve, execute_reserve) },
    { ROW_10(0x57, "RELEASE(10)"), FREE, QUICK, .usage = { 0x57 },
      RUN(start_reserve, execute_release) },
};

const unsigned scsi_opcode_count = sizeof(scsi_opcodes) / sizeof(scsi_opcodes[0]);

/* Opcode -> 1 + index of its first row, made at start-up. */
static uint8_t first_row[256];

__attribute__((constructor)) static void index_rows(void)
{
    for (unsigned i = scsi_opcode_count; i-- > 0;)
        first_row[scsi_opcodes[i].opcode] = (uint8_t)(i + 1);
}

const struct scsi_opcode *scsi_opcode_lookup(uint8_t opcode, uint16_t service_action)
{
    unsigned row = first_row[opcode];
    for (unsigned i = row ? row - 1 : scsi_opcode_count; i < scsi_opcode_count; i++) {
        if (scsi_opcodes[i].opcode == opcode && scsi_opcodes[i].service_action == service_action)
            return &scsi_opcodes[i];
    }
    return NULL;
}

const struct scsi_opcode *scsi_opcode_find(const uint8_t *cdb, bool *ret_known)
{
    unsigned row = first_row[cdb[0]];

    *ret_known = row != 0;
    if (!row)
        return NULL;
    const struct scsi_opcode *opcode = &scsi_opcodes[row - 1];
    if (opcode->service_action == SA_NONE)
        return opcode;
    return scsi_opcode_lookup(cdb[0], cdb[1] & 0x1f);
}
