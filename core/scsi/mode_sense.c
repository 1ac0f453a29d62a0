/* SPDX-License-Identifier: BSD-3-Clause */
/* MODE SENSE(6) and (10) (SPC-4 6.13, 6.14). Nothing can be saved: PS is 0 everywhere. */
#include <string.h>

#include "scsi/mode.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/transfer.h"

#define WP     0x80u
#define DPOFUA 0x10u

static uint8_t device_specific(const struct scsi_unit *unit)
{
    bool protected = unit->read_only || (atomic_load(&unit->mode) & SCSI_MODE_SWP);
    return (uint8_t)(DPOFUA | (protected ? WP : 0));
}

/* SBC-3 6.4.2; returns its length. */
static unsigned block_descriptor(const struct scsi_command *cmd, bool longlba, uint8_t *data)
{
    uint64_t blocks = atomic_load(&cmd->unit->blocks);

    if (longlba) {
        memset(data, 0, 16);
        put_be64(data, blocks);
        put_be32(data + 12, scsi_block_bytes(cmd));
        return 16;
    }
    put_be32(data, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
    put_be32(data + 4, scsi_block_bytes(cmd));
    return 8;
}

/* The pages that page code and subpage code name, one after the other; 0: none. */
static unsigned put_pages(const struct scsi_command *cmd, enum mode_control which, uint8_t *data)
{
    uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];
    unsigned at = 0;

    for (unsigned i = 0; i < mode_page_count; i++) {
        const struct mode_page *page = &mode_pages[i];
        if (code != 0x3f && code != page->code)
            continue;
        if (subpage != 0xff && subpage != page->subpage)
            continue;
        if (!mode_page_is_of(page, cmd->unit))
            continue;
        mode_page_build(page, cmd->unit, which, data + at);
        at += page->bytes;
    }
    return at;
}

int reply_mode_sense(struct scsi_command *cmd, uint8_t *data)
{
    bool ten = cmd->cdb[0] == 0x5a, dbd = cmd->cdb[1] & 0x08;
    bool longlba = ten && (cmd->cdb[1] & 0x10);
    enum mode_control which = cmd->cdb[2] >> 6;
    unsigned header = ten ? 8 : 4, descriptor = 0, pages;

    if (which == MODE_SAVED) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
        return -1;
    }
    if ((cmd->cdb[2] & 0x3f) == 0x3f && cmd->cdb[3] != 0 && cmd->cdb[3] != 0xff) {
        scsi_bad_cdb(cmd, 3, -1);
        return -1;
    }
    memset(data, 0, header);
    if (!dbd)
        descriptor = block_descriptor(cmd, longlba, data + header);
    pages = put_pages(cmd, which, data + header + descriptor);
    if (pages == 0) {
        scsi_bad_cdb(cmd, 2, 5);
        return -1;
    }
    unsigned bytes = header + descriptor + pages;
    if (ten) {
        put_be16(data, (uint16_t)(bytes - 2));
        data[3] = device_specific(cmd->unit);
        data[4] = longlba && descriptor ? 0x01 : 0;
        put_be16(data + 6, (uint16_t)descriptor);
    } else {
        data[0] = (uint8_t)(bytes - 1);
        data[2] = device_specific(cmd->unit);
        data[3] = (uint8_t)descriptor;
    }
    return (int)bytes;
}
