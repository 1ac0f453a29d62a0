/* SPDX-License-Identifier: BSD-3-Clause */
/* Binary values in text keys (RFC 7143 6.1): 0x hexadecimal or 0b base64. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * 0 and the bytes, at most `size`; or -EINVAL: no prefix, a foreign character, nothing after the
 * prefix, or more than fits.
 */
int binary_decode(const char *text, uint8_t *out, size_t size, size_t *ret_bytes);
/* "0x" and two digits a byte; `text` has room for 2 * bytes + 3. */
void binary_encode(const uint8_t *data, size_t bytes, char *text);
