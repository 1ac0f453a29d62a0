/* SPDX-License-Identifier: BSD-3-Clause */
/* Who a unit says it is: INQUIRY strings, serial number, NAA and EUI-64 identifiers. */
#pragma once

#include <stdint.h>

struct scsi_unit;
struct scsi_unit_config;

/* From the configuration; what is missing is derived from target name and LUN. */
void identity_fill(struct scsi_unit *unit, const struct scsi_unit_config *config);
/* The derived 64 bits, different for each `purpose`. A fixed function: initiators know disks by it,
   so it must never change. */
uint64_t identity_derive(const char *target_name, uint16_t lun, const char *purpose);
