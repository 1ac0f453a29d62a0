/* SPDX-License-Identifier: BSD-3-Clause */
/* iSCSI TransportIDs (SPC-4 7.6.4.6): initiator ports on the wire. */
#pragma once

#include <stdint.h>

#include "scsi/reservation.h"

#define TRANSPORT_ID_BYTES_MAX (4 + PR_PORT_MAX)

/* Bytes written: a multiple of 4, 24 at least. */
unsigned transport_id_write(uint8_t *to, const char *port);
/* The name of an initiator port as this layer writes it ("iqn…,i,0x" and 12 digits, lower case).
   Returns the bytes it takes, or -1: another protocol, no ISID, too long, cut short. */
int transport_id_read(const uint8_t *from, uint32_t bytes, char ret_port[static PR_PORT_MAX]);
