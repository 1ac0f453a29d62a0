/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CRC32C (Castagnoli), the digest of RFC 7143 13.1. `crc` is CRC32C_START or the running value of
 * the bytes before; the wire value is crc32c_finish(), least significant byte first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CRC32C_START 0xffffffffu

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

static inline uint32_t crc32c_finish(uint32_t crc)
{
    return ~crc;
}
