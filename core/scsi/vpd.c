/* SPDX-License-Identifier: BSD-3-Clause */
/* Vital product data pages (SPC-4 7.8, SBC-3 6.5), a table of builders. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "scsi/inquiry.h"
#include "scsi/block_limits.h"
#include "scsi/nexus.h"
#include "scsi/opcode.h"

/* A builder writes what follows the four bytes of the header, which is zeroed far enough for
   fixed pages, and returns its length. */
#define FIXED_BYTES 64

struct page {
    uint8_t code;
    int (*build)(const struct scsi_command *cmd, uint8_t *data);
};

static int supported_pages(const struct scsi_command *cmd, uint8_t *data);

static int serial_number(const struct scsi_command *cmd, uint8_t *data)
{
    size_t bytes = strlen(cmd->unit->serial);
    memcpy(data, cmd->unit->serial, bytes);
    return (int)bytes;
}

/* Designators, SPC-4 7.8.6.1. */
enum { CODE_BINARY = 1, CODE_ASCII = 2, CODE_UTF8 = 3 };
enum { OF_UNIT = 0, OF_PORT = 1, OF_TARGET = 2 };
enum { TYPE_T10 = 1, TYPE_EUI64, TYPE_NAA, TYPE_PORT, TYPE_GROUP, TYPE_NAME = 8 };

static int designator(uint8_t *data, int code, int association, int type, const void *value,
                      size_t bytes)
{
    data[0] = (uint8_t)(0x50 | code); /* protocol identifier 5: iSCSI */
    data[1] = (uint8_t)(0x80 | association << 4 | type);
    if (association == OF_UNIT) { /* no protocol belongs to the unit itself */
        data[0] = (uint8_t)code;
        data[1] = (uint8_t)type;
    }
    data[2] = 0;
    data[3] = (uint8_t)bytes;
    memcpy(data + 4, value, bytes);
    return (int)(4 + bytes);
}

/* A SCSI name string: ended by NUL, padded to a multiple of four (SPC-4 7.8.6.11). */
static int name_designator(uint8_t *data, int association, const char *name, const char *suffix)
{
    char text[256] = { 0 };
    size_t bytes = (size_t)snprintf(text, 253, "%s%s", name, suffix) + 1;

    if (bytes > 252)
        bytes = 252;
    return designator(data, CODE_UTF8, association, TYPE_NAME, text, (bytes + 3) & ~3ul);
}

static int port_name_designator(uint8_t *data, const struct scsi_target *target, uint16_t tag)
{
    char suffix[16];
    snprintf(suffix, sizeof(suffix), ",t,0x%04x", tag);
    return name_designator(data, OF_PORT, target->name, suffix);
}

static int device_identification(const struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_unit *unit = cmd->unit;
    const struct scsi_nexus *nexus = cmd->nexus;
    char t10[SCSI_VENDOR_MAX + SCSI_SERIAL_MAX + 1], suffix[32];
    uint8_t port[4] = { 0, 0, (uint8_t)(nexus->relative_port >> 8), (uint8_t)nexus->relative_port };
    uint8_t group[4] = { 0, 0, (uint8_t)(nexus->tag >> 8), (uint8_t)nexus->tag };
    int at = 0;

    at += designator(data + at, CODE_BINARY, OF_UNIT, TYPE_NAA, unit->naa, unit->naa_bytes);
    if (unit->eui_bytes)
        at += designator(data + at, CODE_BINARY, OF_UNIT, TYPE_EUI64, unit->eui, unit->eui_bytes);
    int t10_bytes = snprintf(t10, sizeof(t10), "%s%s", unit->vendor, unit->serial);
    at += designator(data + at, CODE_ASCII, OF_UNIT, TYPE_T10, t10, (size_t)t10_bytes);
    snprintf(suffix, sizeof(suffix), ",L,0x%016llx",
             (unsigned long long)scsi_lun_encode(unit->lun));
    at += name_designator(data + at, OF_UNIT, unit->target_name, suffix);
    at += designator(data + at, CODE_BINARY, OF_PORT, TYPE_PORT, port, sizeof(port));
    at += designator(data + at, CODE_BINARY, OF_PORT, TYPE_GROUP, group, sizeof(group));
    at += port_name_designator(data + at, nexus->target, nexus->tag);
    at += name_designator(data + at, OF_TARGET, nexus->target->name, "");
    return at;
}

/* There is no address at which a disk by itself could be managed. */
static int management_addresses(const struct scsi_command *cmd, uint8_t *data)
{
    return 0;
}

static int extended_inquiry(const struct scsi_command *cmd, uint8_t *data)
{
    bool cached = cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE;

    data[1] = 0x07;              /* HEADSUP, ORDSUP, SIMPSUP */
    data[2] = cached ? 0x01 : 0; /* V_SUP */
    data[3] = 0x01;              /* LUICLR */
    return 60;
}

static int mode_page_policy(const struct scsi_command *cmd, uint8_t *data)
{
    data[0] = 0x3f; /* all pages and subpages: */
    data[1] = 0xff;
    data[2] = 0x00; /* shared */
    return 4;
}

/* SPC-4 7.8.15. Relative port identifiers are 1.. in the order of the target's ports. */
static int scsi_ports(const struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_target *target = cmd->nexus->target;
    int at = 0;

    for (unsigned i = 0; i < target->port_count; i++) {
        uint8_t *d = data + at;
        if (at + 12 + 256 + 4 > REPLY_MAX)
            break;
        memset(d, 0, 12);
        put_be16(d + 2, (uint16_t)(i + 1));
        int bytes = port_name_designator(d + 12, target, target->port_tags[i]);
        put_be16(d + 10, (uint16_t)bytes);
        at += 12 + bytes;
    }
    return at;
}

static int block_limits(const struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_unit *unit = cmd->unit;
    const struct backend_info *info = &unit->backend->info;

    data[1] = unit->compare_max;
    put_be16(data + 2, (uint16_t)(1u << unit->physical_exponent)); /* granularity */
    put_be32(data + 4, SCSI_TRANSFER_MAX >> unit->block_shift);
    put_be32(data + 8, info->optimal_io_bytes >> unit->block_shift);
    if (unit->thin) {
        put_be32(data + 16, UNMAP_BLOCKS_MAX);
        put_be32(data + 20, UNMAP_DESCRIPTORS_MAX);
        put_be32(data + 24, (uint32_t)scsi_granularity(unit));
        put_be32(data + 28, 0x80000000u); /* UGAVALID, alignment 0 */
    }
    put_be64(data + 32, WRITE_SAME_BLOCKS_MAX);
    put_be32(data + 40, unit->atomic_max);
    if (unit->atomic_max && unit->physical_exponent) { /* alignment and granularity */
        put_be32(data + 44, 1u << unit->physical_exponent);
        put_be32(data + 48, 1u << unit->physical_exponent);
    }
    return 60;
}

static int block_device_characteristics(const struct scsi_command *cmd, uint8_t *data)
{
    put_be16(data, cmd->unit->backend->info.rotational ? 7200 : 1);
    data[3] = 0x50; /* WABEREQ, WACEREQ: zeroes are read after BLOCK and CRYPTO ERASE */
    return 60;
}

/*
 * ANC_SUP is 0. An anchored block has room of its own, so that no later write to it fails for want of it
 * (SBC-3 4.7.4.4), and that is more than storage here can promise: what fallocate() has reserved in a
 * file is taken anew by a file system that copies on write or has a snapshot below, memory is not
 * reserved before it is written, and of a block device nobody knows. GET LBA STATUS could not tell
 * them, either: to SEEK_HOLE a block that is reserved and one that is not are both holes.
 */
static int provisioning(const struct scsi_command *cmd, uint8_t *data)
{
    if (!cmd->unit->thin)
        return 4;
    data[0] = scsi_threshold_exponent(cmd->unit);
    data[1] = 0xe4; /* LBPU, LBPWS, LBPWS10, LBPRZ = 001b */
    data[2] = 0x02; /* thin */
    return 4;
}

static const struct page pages[] = {
    { 0x00, supported_pages },
    { 0x80, serial_number },
    { 0x83, device_identification },
    { 0x85, management_addresses },
    { 0x86, extended_inquiry },
    { 0x87, mode_page_policy },
    { 0x88, scsi_ports },
    { 0x8f, vpd_third_party_copy },
    { 0xb0, block_limits },
    { 0xb1, block_device_characteristics },
    { 0xb2, provisioning },
};

#define PAGE_COUNT (sizeof(pages) / sizeof(pages[0]))

static int supported_pages(const struct scsi_command *cmd, uint8_t *data)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++)
        data[i] = pages[i].code;
    return (int)PAGE_COUNT;
}

int vpd_page(const struct scsi_command *cmd, uint8_t page, uint8_t *data)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (pages[i].code != page)
            continue;
        memset(data, 0, 4 + FIXED_BYTES);
        data[1] = page;
        int bytes = pages[i].build(cmd, data + 4);
        put_be16(data + 2, (uint16_t)bytes);
        return 4 + bytes;
    }
    return -1;
}
