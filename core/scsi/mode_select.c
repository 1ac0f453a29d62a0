/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MODE SELECT(6) and (10) (SPC-4 6.11, 6.12). The whole list is checked before anything changes:
 * every byte must be as it is now, but for the changeable bits. Mode parameters are shared by all
 * nexuses; the others get MODE PARAMETERS CHANGED.
 */
#include <string.h>

#include "scsi/mode.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define LIST_MAX 1024u

enum scsi_next start_mode_select(struct scsi_command *cmd)
{
    bool ten = cmd->cdb[0] == 0x55;
    uint32_t bytes = ten ? get_be16(cmd->cdb + 7) : cmd->cdb[4];

    if (cmd->cdb[1] & 0x01) { /* SP: nothing can be saved */
        scsi_bad_cdb(cmd, 1, 0);
        return SCSI_ENDED;
    }
    if (bytes && !(cmd->cdb[1] & 0x10)) { /* PF */
        scsi_bad_cdb(cmd, 1, 4);
        return SCSI_ENDED;
    }
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (bytes > LIST_MAX || cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

struct selection {
    const uint8_t *list;
    uint32_t bytes;
    uint32_t at;
    uint32_t mask, values; /* SCSI_MODE_* bits named by the list */
};

static bool short_list(struct scsi_command *cmd)
{
    scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    return false;
}

static bool bad_field(struct scsi_command *cmd, uint32_t at, int bit)
{
    scsi_bad_list(cmd, (uint16_t)at, bit);
    return false;
}

/* Header and block descriptor, which may only repeat what is so already. */
static bool take_header(struct scsi_command *cmd, struct selection *s)
{
    bool ten = cmd->cdb[0] == 0x55;
    uint32_t header = ten ? 8 : 4;

    if (s->bytes < header)
        return short_list(cmd);
    uint32_t medium_at = ten ? 2 : 1;
    bool longlba = ten && (s->list[4] & 0x01);
    uint32_t descriptor = ten ? get_be16(s->list + 6) : s->list[3];
    if (s->list[medium_at])
        return bad_field(cmd, medium_at, -1);
    if (descriptor != 0 && descriptor != (longlba ? 16u : 8u))
        return bad_field(cmd, ten ? 6 : 3, -1);
    if (s->bytes < header + descriptor)
        return short_list(cmd);
    if (descriptor) {
        const uint8_t *d = s->list + header;
        uint64_t blocks = longlba ? get_be64(d) : get_be32(d);
        uint32_t block = longlba ? get_be32(d + 12) : get_be24(d + 5);
        uint64_t now = atomic_load(&cmd->unit->blocks);
        bool all = blocks == 0 || blocks == now || blocks == (longlba ? UINT64_MAX : UINT32_MAX);
        if (!all)
            return bad_field(cmd, header, -1);
        if (block != scsi_block_bytes(cmd))
            return bad_field(cmd, header + (longlba ? 12 : 5), -1);
    }
    s->at = header + descriptor;
    return true;
}

/* One page: no byte may differ from the current one outside the changeable bits. */
static bool take_page(struct scsi_command *cmd, struct selection *s)
{
    uint8_t current[MODE_PAGE_BYTES_MAX], changeable[MODE_PAGE_BYTES_MAX];
    const uint8_t *list = s->list + s->at;
    uint32_t left = s->bytes - s->at;

    if (left < 2 || ((list[0] & 0x40) && left < 4))
        return short_list(cmd);
    if (list[0] & 0x80) /* PS is reserved here */
        return bad_field(cmd, s->at, 7);
    const struct mode_page *page = mode_page_find(list[0] & 0x3f, list[0] & 0x40 ? list[1] : 0);
    if (!page || !mode_page_is_of(page, cmd->unit) || (page->subpage != 0) != ((list[0] & 0x40) != 0))
        return bad_field(cmd, s->at, 5);
    uint32_t bytes = page->subpage ? 4u + get_be16(list + 2) : 2u + list[1];
    if (bytes != page->bytes)
        return bad_field(cmd, s->at + (page->subpage ? 2 : 1), -1);
    if (left < bytes)
        return short_list(cmd);
    mode_page_build(page, cmd->unit, MODE_CURRENT, current);
    mode_page_build(page, cmd->unit, MODE_CHANGEABLE, changeable);
    for (uint32_t i = page->subpage ? 4 : 2; i < bytes; i++) {
        if ((list[i] ^ current[i]) & ~changeable[i])
            return bad_field(cmd, s->at + i, -1);
    }
    for (unsigned i = 0; i < 3 && page->bits[i].mode; i++) {
        uint32_t bit = page->bits[i].mode & cmd->unit->mode_changeable;
        s->mask |= bit;
        s->values &= ~bit;
        if (list[page->bits[i].at] & page->bits[i].mask)
            s->values |= bit;
    }
    s->at += bytes;
    return true;
}

/* Returns the bits that were set before, as far as is known, and the bits set now by *ret_now. */
static uint32_t apply(struct scsi_command *cmd, const struct selection *s, uint32_t *ret_now)
{
    uint32_t before = atomic_load(&cmd->unit->mode);
    bool again = scsi_noted(cmd) == NOTE_BEGUN;

    do {
        *ret_now = (before & ~s->mask) | s->values;
        if (before != *ret_now)
            scsi_once_change(cmd);
    } while (!atomic_compare_exchange_weak(&cmd->unit->mode, &before, *ret_now));
    scsi_unit_kept(cmd->unit);
    if (again || before != *ret_now)
        scsi_once_tell(cmd, again, ASC_MODE_PARAMETERS_CHANGED);
    return again ? before | s->mask : before;
}

static int flush_step(struct scsi_command *cmd)
{
    if (cmd->work[0]++ == 0) {
        scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
        return STEP_WAIT;
    }
    if (cmd->io.result < 0)
        scsi_io_error(cmd, cmd->io.result, /* writing= */ true, 0);
    return STEP_DONE;
}

void execute_mode_select(struct scsi_command *cmd)
{
    uint8_t list[LIST_MAX];
    struct selection s = { .list = list, .bytes = cmd->data_out_bytes };
    uint32_t before, now;

    if (s.bytes == 0) {
        scsi_finish(cmd);
        return;
    }
    scsi_iov_get(cmd, 0, list, s.bytes);
    if (!take_header(cmd, &s)) {
        scsi_finish(cmd);
        return;
    }
    while (s.at < s.bytes) {
        if (!take_page(cmd, &s)) {
            scsi_finish(cmd);
            return;
        }
    }
    before = apply(cmd, &s, &now);
    if ((before & SCSI_MODE_WCE) && !(now & SCSI_MODE_WCE))
        scsi_steps(cmd, flush_step); /* what was answered while the cache was on */
    else
        scsi_finish(cmd);
}
