/* SPDX-License-Identifier: BSD-3-Clause */
/* Identity of a unit; the derivation below is part of the outside contract. */
#include "scsi/identity.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "scsi/unit.h"

/* FNV-1a, 64 bits */
static uint64_t fnv(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    while (bytes--)
        hash = (hash ^ *p++) * 0x100000001b3ull;
    return hash;
}

uint64_t identity_derive(const char *target_name, uint16_t lun, const char *purpose)
{
    const uint8_t number[2] = { (uint8_t)(lun >> 8), (uint8_t)lun };
    uint64_t h = 0xcbf29ce484222325ull;

    h = fnv(h, purpose, strlen(purpose) + 1);
    h = fnv(h, target_name, strlen(target_name) + 1);
    h = fnv(h, number, sizeof(number));
    /* The finaliser of splitmix64: FNV alone leaves near inputs near. */
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 27) * 0x94d049bb133111ebull;
    return h ^ h >> 31;
}

/* Printable ASCII, padded with spaces to `width` (0: not padded, at most `max`). */
static void put_text(char *to, const char *from, size_t max, size_t width)
{
    size_t n = 0;
    for (; n < max && from[n]; n++)
        to[n] = from[n] >= 0x20 && from[n] < 0x7f ? from[n] : ' ';
    for (; n < width; n++)
        to[n] = ' ';
    to[n] = '\0';
}

void identity_fill(struct scsi_unit *unit, const struct scsi_unit_config *config)
{
    const char *name = config->target_name;
    char serial[17];

    snprintf(serial, sizeof(serial), "%016llx",
             (unsigned long long)identity_derive(name, config->lun, "serial"));
    put_text(unit->vendor, config->vendor ? config->vendor : "HOLDFAST", SCSI_VENDOR_MAX,
             SCSI_VENDOR_MAX);
    put_text(unit->product, config->product ? config->product : unit->backend->product,
             SCSI_PRODUCT_MAX, SCSI_PRODUCT_MAX);
    /* Constant over versions: an upgrade is nothing an initiator should see. */
    put_text(unit->revision, config->revision ? config->revision : "1", SCSI_REVISION_MAX,
             SCSI_REVISION_MAX);
    put_text(unit->serial, config->serial && config->serial[0] ? config->serial : serial,
             SCSI_SERIAL_MAX, 0);
    /* NAA 3h: locally assigned (SPC-4 7.8.6.6.4). */
    if (config->naa_bytes) {
        memcpy(unit->naa, config->naa, config->naa_bytes);
        unit->naa_bytes = (uint8_t)config->naa_bytes;
    } else {
        put_be64(unit->naa, identity_derive(name, config->lun, "naa") >> 4 | 3ull << 60);
        unit->naa_bytes = 8;
    }
    if (config->eui_bytes)
        memcpy(unit->eui, config->eui, config->eui_bytes);
    unit->eui_bytes = (uint8_t)config->eui_bytes;
}
