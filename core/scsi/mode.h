/* SPDX-License-Identifier: BSD-3-Clause */
/* Mode pages: one table for MODE SENSE and MODE SELECT. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "scsi/unit.h"

enum mode_control { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

struct mode_page {
    uint8_t code, subpage;
    uint8_t bytes;           /* with its header of 2 (subpages: 4) */
    const uint8_t *constant; /* `bytes` of it, with the header */
    struct {
        uint8_t at, mask; /* where the bit is, … */
        uint32_t mode;    /* … and which SCSI_MODE_* it shows; 0: end */
    } bits[3];
    bool thin; /* only of a thin unit */
    void (*fill)(const struct scsi_unit *unit, uint8_t *data); /* what is no constant; may be NULL */
};

extern const struct mode_page mode_pages[];
extern const unsigned mode_page_count;

#define MODE_PAGE_BYTES_MAX 48

static inline bool mode_page_is_of(const struct mode_page *page, const struct scsi_unit *unit)
{
    return !page->thin || unit->thin;
}

const struct mode_page *mode_page_find(uint8_t code, uint8_t subpage);
/* The page as `control` asks for it: MODE_CURRENT, MODE_CHANGEABLE or MODE_DEFAULT. */
void mode_page_build(const struct mode_page *page, const struct scsi_unit *unit,
                     enum mode_control control, uint8_t *ret_data);
