/* SPDX-License-Identifier: BSD-3-Clause */
/* 32-bit serial number arithmetic (RFC 1982, as RFC 7143 4.2.2.1 uses it for CmdSN and StatSN). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline bool serial_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool serial_le(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

static inline bool serial_gt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static inline bool serial_ge(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}
