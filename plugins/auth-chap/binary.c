/* SPDX-License-Identifier: BSD-3-Clause */
#include "binary.h"

#include <errno.h>
#include <nettle/base64.h>
#include <string.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* An odd number of digits has its first half byte left out: n digits are (n + 1) / 2 bytes. */
static int decode_hex(const char *text, uint8_t *out, size_t size, size_t *ret_bytes)
{
    size_t digits = strlen(text), bytes = (digits + 1) / 2, odd = digits % 2;
    if (digits == 0 || bytes > size)
        return -EINVAL;
    memset(out, 0, bytes);
    for (size_t i = 0; i < digits; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return -EINVAL;
        uint8_t *at = &out[(i + odd) / 2];
        *at = (uint8_t)(*at << 4 | value);
    }
    *ret_bytes = bytes;
    return 0;
}

static int decode_base64(const char *text, uint8_t *out, size_t size, size_t *ret_bytes)
{
    struct base64_decode_ctx ctx;
    size_t chars = strlen(text), bytes = 0;
    if (chars == 0 || BASE64_DECODE_LENGTH(chars) > size + 3)
        return -EINVAL;
    /* One character at a time: the result can never pass the end of `out`. */
    base64_decode_init(&ctx);
    for (size_t i = 0; i < chars; i++) {
        uint8_t byte;
        int n = base64_decode_single(&ctx, &byte, text[i]);
        if (n < 0 || (n == 1 && bytes == size))
            return -EINVAL;
        if (n == 1)
            out[bytes++] = byte;
    }
    if (!base64_decode_final(&ctx) || bytes == 0)
        return -EINVAL;
    *ret_bytes = bytes;
    return 0;
}

int binary_decode(const char *text, uint8_t *out, size_t size, size_t *ret_bytes)
{
    if (text[0] != '0')
        return -EINVAL;
    if (text[1] == 'x' || text[1] == 'X')
        return decode_hex(text + 2, out, size, ret_bytes);
    if (text[1] == 'b' || text[1] == 'B')
        return decode_base64(text + 2, out, size, ret_bytes);
    return -EINVAL;
}

void binary_encode(const uint8_t *data, size_t bytes, char *text)
{
    static const char digits[] = "0123456789abcdef";
    *text++ = '0';
    *text++ = 'x';
    for (size_t i = 0; i < bytes; i++) {
        *text++ = digits[data[i] >> 4];
        *text++ = digits[data[i] & 15];
    }
    *text = '\0';
}
