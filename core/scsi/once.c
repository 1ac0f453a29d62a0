/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a command may be executed again after a crash; see once.h. */
#include "scsi/once.h"

#include <glib.h>
#include <stdatomic.h>

#include "base/crash_point.h"
#include "scsi/nexus_internal.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define ANY 0xffffu

/* Rows of one opcode: the more exact ones first. */
static const struct {
    uint8_t opcode;
    uint16_t service_action; /* ANY */
    uint8_t once;            /* enum scsi_once */
    const char *why;
} rows[] = {
#define NOTHING(op, text)                                                                          \
    {                                                                                              \
        op, ANY, ONCE_NOTHING, text                                                                \
    }
    NOTHING(0x00, "TEST UNIT READY: looks"),
    { 0x03, ANY, ONCE_NOTE, "REQUEST SENSE: the unit attention that it took is in the note" },
    NOTHING(0x08, "READ(6): what was sent of it goes on from the buffers that it was read to"),
    NOTHING(0x28, "READ(10): what was sent of it goes on from the buffers that it was read to"),
    NOTHING(0xa8, "READ(12): what was sent of it goes on from the buffers that it was read to"),
    NOTHING(0x88, "READ(16): what was sent of it goes on from the buffers that it was read to"),
    NOTHING(0x12, "INQUIRY: looks"),
    NOTHING(0x1a, "MODE SENSE(6): looks"),
    NOTHING(0x5a, "MODE SENSE(10): looks"),
    NOTHING(0x25, "READ CAPACITY(10): looks"),
    NOTHING(0x9e, "READ CAPACITY(16), GET LBA STATUS, GET STREAM STATUS: look"),
    NOTHING(0x37, "READ DEFECT DATA(10): looks"),
    NOTHING(0xb7, "READ DEFECT DATA(12): looks"),
    NOTHING(0x5e, "PERSISTENT RESERVE IN: looks"),
    NOTHING(0xa0, "REPORT LUNS: looks; the unit attention it takes away is about what it reports"),
    NOTHING(0xa3, "REPORT of codes, functions, ports, time: looks"),
    NOTHING(0x4d, "LOG SENSE: looks"),
    NOTHING(0x3c, "READ BUFFER: looks"),
    NOTHING(0x1c, "RECEIVE DIAGNOSTIC RESULTS: looks"),
    NOTHING(0x34, "PRE-FETCH(10): changes a cache alone"),
    NOTHING(0x90, "PRE-FETCH(16): changes a cache alone"),
    NOTHING(0x2f, "VERIFY(10): compares"),
    NOTHING(0xaf, "VERIFY(12): compares"),
    NOTHING(0x8f, "VERIFY(16): compares"),
#define SAME(op, text)                                                                             \
    {                                                                                              \
        op, ANY, ONCE_SAME, text                                                                   \
    }
#define NOTED(op, text)                                                                            \
    {                                                                                              \
        op, ANY, ONCE_NOTE, text                                                                   \
    }
    SAME(0x0a, "WRITE(6): the data of a write that is not answered may be written twice"),
    SAME(0x2a, "WRITE(10): as WRITE(6); zombies of the dead worker come before (tombstone)"),
    SAME(0xaa, "WRITE(12): as WRITE(10)"),
    SAME(0x8a, "WRITE(16): as WRITE(10)"),
    SAME(0x2e, "WRITE AND VERIFY(10): as WRITE(10), then it looks"),
    SAME(0xae, "WRITE AND VERIFY(12): as WRITE(10), then it looks"),
    SAME(0x8e, "WRITE AND VERIFY(16): as WRITE(10), then it looks"),
    SAME(0x41, "WRITE SAME(10): as WRITE(10)"),
    SAME(0x93, "WRITE SAME(16): as WRITE(10)"),
    SAME(0x42, "UNMAP: unmapped blocks are unmapped"),
    SAME(0x9c,
         "WRITE ATOMIC(16): as WRITE(10); it notes that it begins to write, and then the whole of "
         "it is written again before anybody is let in, so that nobody sees what the crash "
         "has left (memory alone has it)"),
    SAME(0x8b, "ORWRITE(16): bits that are set stay set; what it has or-ed already it ors again"),
    SAME(0x35, "SYNCHRONIZE CACHE(10): flushes again"),
    SAME(0x91, "SYNCHRONIZE CACHE(16): flushes again"),
    NOTED(0x15, "MODE SELECT(6): the same values; a change is noted before, and told once"),
    NOTED(0x55, "MODE SELECT(10): as MODE SELECT(6)"),
    NOTED(0x1b, "START STOP UNIT: started or stopped as before; loading is told once"),
    SAME(0x1e, "PREVENT ALLOW: a nexus prevents or does not, which is kept"),
    SAME(0x16, "RESERVE(6): its nexus has it already"),
    SAME(0x17, "RELEASE(6): who has no reservation releases none"),
    SAME(0x56, "RESERVE(10): as RESERVE(6)"),
    SAME(0x57, "RELEASE(10): as RELEASE(6)"),
    NOTED(0xa4, "SET TARGET PORT GROUPS, IDENTIFYING INFORMATION, TIMESTAMP: the same again; it is "
                "noted before, and told once"),
    SAME(0x4c, "LOG SELECT: what is reset is reset"),
    SAME(0x3b, "WRITE BUFFER: the same bytes at the same place"),
    SAME(0x1d, "SEND DIAGNOSTIC: a test that nobody has heard the result of is run again"),
    { 0x83, ANY, ONCE_NOTE,
      "EXTENDED COPY: how far it is, is in the note; a piece is copied again" },
    NOTHING(0x84, "RECEIVE COPY RESULTS: looks"),
    { 0x89, ANY, ONCE_NOTE,
      "COMPARE AND WRITE: before its first write it notes that it has compared; then it only "
      "writes "
      "what is not written yet, and has its blocks before all others" },
    { 0x5f, ANY, ONCE_ID,
      "PERSISTENT RESERVE OUT: the id is in the table that it made, in memory and in the file" },
    { 0x48, 0x1f, ONCE_SAME, "SANITIZE, EXIT FAILURE MODE: there is no failure any more" },
    { 0x48, ANY, ONCE_JOB,
      "SANITIZE: order and progress are kept, with the id; executed again, it waits for that job" },
};

enum scsi_once scsi_once_of(uint8_t opcode, uint16_t service_action, const char **ret_why)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].opcode != opcode ||
            (rows[i].service_action != ANY && rows[i].service_action != service_action))
            continue;
        if (ret_why)
            *ret_why = rows[i].why;
        return rows[i].once;
    }
    return 0;
}

void scsi_note(struct scsi_command *cmd, enum scsi_note what, uint64_t value)
{
    struct scsi_kept *kept = cmd->kept;

    if (!kept)
        return;
    kept->word = value;
    crash_point("note");
    atomic_signal_fence(memory_order_release); /* the process dies, not the machine */
    kept->begun = what;
    crash_point("noted");
}

enum scsi_note scsi_noted(const struct scsi_command *cmd)
{
    return cmd->kept ? (enum scsi_note)cmd->kept->begun : NOTE_NONE;
}

bool scsi_once_change(struct scsi_command *cmd)
{
    if (scsi_noted(cmd) == NOTE_BEGUN)
        return true;
    scsi_note(cmd, NOTE_BEGUN, scsi_attentions_head(cmd->unit));
    return false;
}

void scsi_once_tell(struct scsi_command *cmd, bool again, uint16_t asc)
{
    crash_point("changed");
    if (!again || !scsi_attention_raised(cmd->unit, (uint32_t)cmd->kept->word, asc, cmd->nexus->id))
        scsi_unit_attention(cmd->unit, cmd->nexus, (uint8_t)(asc >> 8), (uint8_t)asc);
}

bool scsi_once_attention(struct scsi_command *cmd)
{
    uint16_t asc = (uint16_t)cmd->kept->word;
    uint8_t pending, qualifier;

    /* The note was written first; was it taken, too? */
    if (scsi_nexus_attention(cmd->nexus, cmd->unit, /* take= */ false, &pending, &qualifier) &&
        (pending << 8 | qualifier) == asc)
        scsi_nexus_attention(cmd->nexus, cmd->unit, /* take= */ true, &pending, &qualifier);
    scsi_check_condition(cmd, SENSE_UNIT_ATTENTION, asc);
    return true;
}

static bool is_done(struct scsi_unit *unit, const struct scsi_command *cmd)
{
    return cmd->cdb[0] == 0x5f && scsi_keep_has(&unit->home.keep, cmd->id & SCSI_ID_MASK);
}

static bool has_job(struct scsi_unit *unit, const struct scsi_command *cmd)
{
    return cmd->cdb[0] == 0x48 && cmd->id &&
           atomic_load(&unit->home.keep.data->sanitized_by) == (cmd->id & SCSI_ID_MASK);
}

void scsi_resumed(struct scsi_command *cmd)
{
    struct scsi_unit *unit = scsi_nexus_unit_at(cmd->nexus, cmd->lun);
    bool known;

    if (!unit)
        return;
    if (is_done(unit, cmd))
        scsi_note(cmd, NOTE_DONE, 0);
    else if (has_job(unit, cmd))
        scsi_note(cmd, NOTE_REJOIN, 0);
    if (scsi_noted(cmd) != NOTE_BEGUN)
        return;
    cmd->opcode = scsi_opcode_find(cmd->cdb, &known);
    if (!cmd->opcode || !(cmd->opcode->flags & OP_ALONE))
        return;
    cmd->unit = unit;
    scsi_decode_range(cmd);
    scsi_range_hold(cmd);
}

void scsi_forget(struct scsi_command *cmd)
{
    scsi_range_forget(cmd);
}
