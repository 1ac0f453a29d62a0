/* SPDX-License-Identifier: BSD-3-Clause */
/* Between standard INQUIRY data and the vital product data pages. */
#pragma once

#include "scsi/command.h"

/* The VPD page `page` into `data` (REPLY_MAX bytes); its length, or -1: there is no such page. */
int vpd_page(const struct scsi_command *cmd, uint8_t page, uint8_t *data);
/* Page 8Fh, as the builders in vpd.c: what follows the header, and its length. */
int vpd_third_party_copy(const struct scsi_command *cmd, uint8_t *data);
