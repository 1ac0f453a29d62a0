/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one table of commands. It drives dispatch and answers REPORT SUPPORTED OPERATION CODES, so a
 * command is advertised exactly when it can be executed. A new command is a row here and a file.
 *
 * A row either has `reply` (a small answer is built in one go; everything else is common code) or
 * `start` and `execute`.
 */
#pragma once

#include <stdint.h>

#include "scsi/command.h"
#include "scsi/unit.h"

#define SA_NONE   0xffff /* the command has no service action */
#define REPLY_MAX 4096   /* the largest small answer */

/* opcode.flags */
#define OP_ANY_LUN 0x001u /* also where there is no logical unit */
#define OP_NO_UA   0x002u /* a pending unit attention does not end it */
#define OP_MEDIUM  0x004u /* not while the unit is stopped */
#define OP_WRITES  0x008u /* not on a write protected unit */
#define OP_PROTECT 0x010u /* xPROTECT in byte 1 bits 7-5 must be 0 */
#define OP_THIN    0x020u /* exists only on a thin unit */
#define OP_FUA     0x040u /* byte 1 bit 3 is FUA */
#define OP_RANGE   0x080u /* not while another command has its blocks alone (range.h) */
#define OP_ALONE   0x100u /* with OP_RANGE: has its blocks alone */
#define OP_ATOMIC  0x200u /* exists only where a write is never torn */
#define OP_ALWAYS  0x400u /* also while the unit is sanitized */
#define OP_REMOVES 0x800u /* exists only on a removable unit */
#define OP_ONCE    0x1000u /* once.h has more for it than "again"; so for all with OP_ALONE */

enum cdb_layout { /* where LBA and length are */
                  CDB_OTHER,
                  CDB_6,       /* LBA 1-3 (21 bits), length 4 (0: 256) */
                  CDB_10,      /* LBA 2-5, length 7-8 */
                  CDB_12,      /* LBA 2-5, length 6-9 */
                  CDB_16,      /* LBA 2-9, length 10-13 */
                  CDB_COMPARE, /* LBA 2-9, length 13 */
                  CDB_ATOMIC,  /* LBA 2-9, length 12-13 */
};

struct scsi_opcode {
    const char *name;
    uint8_t opcode;
    uint16_t service_action;
    uint8_t cdb_bytes;
    uint8_t layout;    /* enum cdb_layout */
    uint16_t flags;    /* OP_* */
    uint8_t denied_by; /* DENY_*: a nexus that is denied one of these gets RESERVATION CONFLICT */
    uint8_t length_at; /* reply: first byte of the allocation length; write: of the length */
    uint8_t length_bytes;              /* reply: its size; 0: the answer is always whole */
    uint16_t nominal_s, recommended_s; /* command timeouts descriptor; 0: not given */
    uint8_t usage[16];                 /* CDB usage data (SPC-4 6.35.3) */
    bool (*harmless)(const struct scsi_command *cmd); /* a form that no reservation keeps away */
    int (*reply)(struct scsi_command *cmd, uint8_t *ret_data); /* bytes; -1: status is set */
    enum scsi_next (*start)(struct scsi_command *cmd);
    void (*execute)(struct scsi_command *cmd);
};

extern const struct scsi_opcode scsi_opcodes[];
extern const unsigned scsi_opcode_count;

/* The row of a CDB, or NULL; *ret_known is whether any row has the opcode (so it is the service
   action that is wrong). */
const struct scsi_opcode *scsi_opcode_find(const uint8_t *cdb, bool *ret_known);
/* By opcode and service action (SA_NONE: without). */
const struct scsi_opcode *scsi_opcode_lookup(uint8_t opcode, uint16_t service_action);

/* Whether this unit has the command at all. */
static inline bool scsi_opcode_exists(const struct scsi_opcode *opcode,
                                      const struct scsi_unit *unit)
{
    if (!(opcode->flags & (OP_THIN | OP_ATOMIC | OP_REMOVES)))
        return true;
    if (opcode->flags & OP_THIN)
        return unit->thin;
    return opcode->flags & OP_REMOVES ? unit->removable : unit->atomic_max != 0;
}

/* reply rows */
int reply_inquiry(struct scsi_command *cmd, uint8_t *data);
int reply_report_port_groups(struct scsi_command *cmd, uint8_t *data);
int reply_read_defects_10(struct scsi_command *cmd, uint8_t *data);
int reply_read_defects_12(struct scsi_command *cmd, uint8_t *data);
int reply_request_sense(struct scsi_command *cmd, uint8_t *data);
int reply_mode_sense(struct scsi_command *cmd, uint8_t *data);
int reply_read_capacity_10(struct scsi_command *cmd, uint8_t *data);
int reply_read_capacity_16(struct scsi_command *cmd, uint8_t *data);
int reply_report_luns(struct scsi_command *cmd, uint8_t *data);
int reply_report_opcodes(struct scsi_command *cmd, uint8_t *data);
int reply_report_tmfs(struct scsi_command *cmd, uint8_t *data);
int reply_copy_status(struct scsi_command *cmd, uint8_t *data);
int reply_copy_parameters(struct scsi_command *cmd, uint8_t *data);
int reply_copy_failed_details(struct scsi_command *cmd, uint8_t *data);
int reply_read_buffer(struct scsi_command *cmd, uint8_t *data);
int reply_diagnostic_results(struct scsi_command *cmd, uint8_t *data);
int reply_timestamp(struct scsi_command *cmd, uint8_t *data);
int reply_identifying(struct scsi_command *cmd, uint8_t *data);
int reply_test_unit_ready(struct scsi_command *cmd, uint8_t *data);

/* start and execute of the others */
enum scsi_next start_read(struct scsi_command *cmd);
enum scsi_next start_write(struct scsi_command *cmd);
enum scsi_next start_write_verify(struct scsi_command *cmd);
void execute_read_write(struct scsi_command *cmd);
void execute_write_verify(struct scsi_command *cmd);
enum scsi_next start_verify(struct scsi_command *cmd);
void execute_verify(struct scsi_command *cmd);
enum scsi_next start_range(struct scsi_command *cmd); /* a range, no data */
void execute_prefetch(struct scsi_command *cmd);
void execute_synchronize_cache(struct scsi_command *cmd);
enum scsi_next start_write_same(struct scsi_command *cmd);
void execute_write_same(struct scsi_command *cmd);
enum scsi_next start_unmap(struct scsi_command *cmd);
void execute_unmap(struct scsi_command *cmd);
enum scsi_next start_lba_status(struct scsi_command *cmd);
void execute_lba_status(struct scsi_command *cmd);
enum scsi_next start_compare_and_write(struct scsi_command *cmd);
void execute_compare_and_write(struct scsi_command *cmd);
enum scsi_next start_write_atomic(struct scsi_command *cmd);
void execute_write_atomic(struct scsi_command *cmd);
enum scsi_next start_orwrite(struct scsi_command *cmd);
void execute_orwrite(struct scsi_command *cmd);
enum scsi_next start_persistent_in(struct scsi_command *cmd);
void execute_persistent_in(struct scsi_command *cmd);
enum scsi_next start_persistent_out(struct scsi_command *cmd);
void execute_persistent_out(struct scsi_command *cmd);
enum scsi_next start_reserve(struct scsi_command *cmd);
void execute_reserve(struct scsi_command *cmd);
void execute_release(struct scsi_command *cmd);
enum scsi_next start_mode_select(struct scsi_command *cmd);
void execute_mode_select(struct scsi_command *cmd);
enum scsi_next start_sanitize(struct scsi_command *cmd);
void execute_sanitize(struct scsi_command *cmd);
void execute_sanitize_exit(struct scsi_command *cmd);
enum scsi_next start_set_port_groups(struct scsi_command *cmd);
void execute_set_port_groups(struct scsi_command *cmd);
bool harmless_prevent_allow(const struct scsi_command *cmd);
enum scsi_next start_prevent_allow(struct scsi_command *cmd);
void execute_prevent_allow(struct scsi_command *cmd);
bool harmless_start_stop(const struct scsi_command *cmd);
enum scsi_next start_start_stop(struct scsi_command *cmd);
void execute_start_stop(struct scsi_command *cmd);
enum scsi_next start_log_sense(struct scsi_command *cmd);
void execute_log_sense(struct scsi_command *cmd);
enum scsi_next start_log_select(struct scsi_command *cmd);
void execute_nothing(struct scsi_command *cmd); /* GOOD */
enum scsi_next start_write_buffer(struct scsi_command *cmd);
void execute_write_buffer(struct scsi_command *cmd);
enum scsi_next start_send_diagnostic(struct scsi_command *cmd);
void execute_send_diagnostic(struct scsi_command *cmd);
enum scsi_next start_set_timestamp(struct scsi_command *cmd);
void execute_set_timestamp(struct scsi_command *cmd);
enum scsi_next start_set_identifying(struct scsi_command *cmd);
void execute_set_identifying(struct scsi_command *cmd);
enum scsi_next start_extended_copy(struct scsi_command *cmd);
void execute_extended_copy(struct scsi_command *cmd);
