/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC32C by ISA-L, which picks the processor's instructions itself. */
#include "base/crc32c.h"

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    while (bytes > 0) {
        int piece = bytes > (1u << 30) ? 1 << 30 : (int)bytes;
        crc = crc32_iscsi((unsigned char *)p, piece, crc);
        p += piece;
        bytes -= (size_t)piece;
    }
    return crc;
}
