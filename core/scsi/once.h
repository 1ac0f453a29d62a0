/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As if executed once. A command that a dead worker had begun and not answered is executed again by
 * the next one. Most have the same effect twice as once as long as nobody has seen the answer; what
 * the others need is written down in time:
 *
 *   the note   a word in the command's record, which the transport keeps (cmd->kept), written by the
 *              command itself before the step that must not be done twice
 *   the id     of the command (cmd->id), kept with what it changes in the unit's kept memory, by one
 *              store together with the change: whoever finds it there knows that it is done
 *
 * The table in once.c says for every opcode which of it applies, and why that is right.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_command;
struct scsi_nexus_unit;

/* Why executing it again is right. */
enum scsi_once {
    ONCE_NOTHING = 1, /* it changes nothing */
    ONCE_SAME,        /* it sets a state that is the same when it is set again */
    ONCE_NOTE,        /* what was decided before the first write is in the note */
    ONCE_ID,          /* the change in the kept memory has its id */
    ONCE_JOB,         /* it began a job, which is kept, has its id, and goes on by itself */
};

/* How an opcode is treated; 0: it is in no row (a mistake that a test finds). `service_action` as in
   struct scsi_opcode. *ret_why, which may be NULL: a sentence. */
enum scsi_once scsi_once_of(uint8_t opcode, uint16_t service_action, const char **ret_why);

/* cmd->kept->begun, and what `word` is then. */
enum scsi_note {
    NOTE_NONE,
    NOTE_BEGUN,     /* ONCE_NOTE: nothing keeps it from going on; `word` is the command's own */
    NOTE_ATTENTION, /* it is answered with this unit attention (asc << 8 | ascq) */
    NOTE_DONE,      /* it was executed, with GOOD */
    NOTE_REJOIN,    /* its job runs, or has ended */
};

/*
 * A command that changes what the unit's other nexuses are told of: scsi_once_change() before the
 * change, scsi_once_tell() after it, with what the first has said. True: a worker that died has done the
 * first for this command, and perhaps more; the change is made again, and told unless it was. For rows
 * with OP_ONCE. Its reactor.
 */
bool scsi_once_change(struct scsi_command *cmd);
void scsi_once_tell(struct scsi_command *cmd, bool again, uint16_t asc);

#define SCSI_ID_MASK ((UINT64_C(1) << 48) - 1)

/* The command's reactor (or, before it starts, the control thread). */
void scsi_note(struct scsi_command *cmd, enum scsi_note what, uint64_t value);
enum scsi_note scsi_noted(const struct scsi_command *cmd);

/*
 * For the transport, about a command that an earlier worker had not answered, all fields of which are
 * set: before the reactors start and before scsi_start(). What the command has begun is found out
 * here, and its blocks are its own from now on. Control thread.
 */
void scsi_resumed(struct scsi_command *cmd);
/* It ends without having been started, or without having been executed. Its reactor. */
void scsi_forget(struct scsi_command *cmd);

/* once.c, for command.c. True: the noted unit attention is its answer; status is set. */
bool scsi_once_attention(struct scsi_command *cmd);
