/* SPDX-License-Identifier: BSD-3-Clause */
/* The mode pages (SPC-4 7.5, SBC-3 6.4): constants, and the bits that follow the unit's mode word. */
#include "scsi/mode.h"

#include <string.h>

#include "base/bytes.h"

static const uint8_t error_recovery[12] = { 0x01, 0x0a, 0xc0 }; /* AWRE, ARRE */
static const uint8_t disconnect[16] = { 0x02, 0x0e };
static const uint8_t caching[20] = { 0x08, 0x12 };
/* TST 001b: a task set per nexus; GLTSD; unrestricted reordering; busy timeout unlimited. */
static const uint8_t control[12] = { 0x0a, 0x0a, 0x22, 0x10, 0, 0, 0, 0, 0xff, 0xff };
/* TCMOS, SCSIP: the time is the machine's, and SET TIMESTAMP goes before. */
static const uint8_t control_extension[32] = { 0x4a, 0x01, 0x00, 0x1c, 0x06 };
static const uint8_t exceptions[12] = { 0x1c, 0x0a, 0x08 }; /* DEXCPT */

/* Logical block provisioning (SBC-3 6.4.3): a descriptor for each threshold that there may be. */
static const uint8_t provisioning[48] = { 0x5c, 0x02, 0x00, 0x2c };
_Static_assert(16 + 8 * SCSI_THRESHOLDS_MAX == sizeof(provisioning), "a descriptor a threshold");

static void put_thresholds(const struct scsi_unit *unit, uint8_t *data)
{
    for (unsigned i = 0; i < SCSI_THRESHOLDS_MAX; i++) {
        uint8_t *d = data + 16 + 8 * i;
        struct scsi_threshold_sets threshold;
        bool there = scsi_threshold_at(unit, i, &threshold);
        d[1] = 0x01;
        if (!there)
            continue;
        d[0] = threshold.used ? 0x81 : 0x82; /* ENABLED, armed when it grows, when it shrinks */
        d[1] = threshold.used ? 0x02 : 0x01; /* resource, as log page 0Ch numbers it */
        put_be32(d + 4, threshold.count);
    }
}

const struct mode_page mode_pages[] = {
    { 0x01, 0x00, sizeof(error_recovery), error_recovery, { { 0 } } },
    { 0x02, 0x00, sizeof(disconnect), disconnect, { { 0 } } },
    { 0x08, 0x00, sizeof(caching), caching, { { 2, 0x04, SCSI_MODE_WCE } } },
    { 0x0a,
      0x00,
      sizeof(control),
      control,
      { { 2, 0x04, SCSI_MODE_D_SENSE }, { 4, 0x08, SCSI_MODE_SWP } } },
    { 0x0a, 0x01, sizeof(control_extension), control_extension, { { 0 } } },
    { 0x1c, 0x00, sizeof(exceptions), exceptions, { { 0 } } },
    { 0x1c, 0x02, sizeof(provisioning), provisioning, { { 0 } }, true, put_thresholds },
};

const unsigned mode_page_count = sizeof(mode_pages) / sizeof(mode_pages[0]);

const struct mode_page *mode_page_find(uint8_t code, uint8_t subpage)
{
    for (unsigned i = 0; i < mode_page_count; i++) {
        if (mode_pages[i].code == code && mode_pages[i].subpage == subpage)
            return &mode_pages[i];
    }
    return NULL;
}

static uint32_t bits_of(const struct scsi_unit *unit, enum mode_control which)
{
    switch (which) {
    case MODE_CHANGEABLE:
        return unit->mode_changeable;
    case MODE_DEFAULT:
        return unit->mode_default;
    default:
        return atomic_load(&unit->mode);
    }
}

void mode_page_build(const struct mode_page *page, const struct scsi_unit *unit,
                     enum mode_control which, uint8_t *ret_data)
{
    uint32_t mode = bits_of(unit, which);

    if (which == MODE_CHANGEABLE) {
        memset(ret_data, 0, page->bytes);
        memcpy(ret_data, page->constant, page->subpage ? 4 : 2);
    } else {
        memcpy(ret_data, page->constant, page->bytes);
        if (page->fill)
            page->fill(unit, ret_data);
    }
    for (unsigned i = 0; i < 3 && page->bits[i].mode; i++) {
        if (mode & page->bits[i].mode)
            ret_data[page->bits[i].at] |= page->bits[i].mask;
    }
}
