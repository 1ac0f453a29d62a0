/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identifying information (SPC-4 6.32, 6.44): what a host writes on a unit to know it again. It is in
 * the state directory, on stable storage before SET is answered; without one it is gone with a power
 * loss. The kept memory has it for the worker and the next one.
 */
#pragma once

#include <stdint.h>

#define IDENT_INFO_MAX 64u
#define IDENT_TEXT_MAX 256u

/* As it is kept and saved. */
struct ident_record {
    uint32_t magic, version, crc;
    uint16_t info_bytes, text_bytes;
    uint8_t info[IDENT_INFO_MAX];
    uint8_t text[IDENT_TEXT_MAX]; /* UTF-8 */
};

struct scsi_unit;
struct scsi_unit_config;

/* Control thread; the kept memory is there. */
void scsi_ident_init(struct scsi_unit *unit, const struct scsi_unit_config *config);
void scsi_ident_deinit(struct scsi_unit *unit);
