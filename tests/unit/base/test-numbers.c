/* SPDX-License-Identifier: BSD-3-Clause */
/* Big-endian numbers, serial number arithmetic, CRC32C. */
#include <glib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/serial.h"

static void numbers_are_big_endian_and_need_no_alignment(void)
{
    uint8_t b[16] = { 0 };
    put_be16(b + 1, 0x1234);
    put_be24(b + 3, 0x56789a);
    put_be64(b + 7, 0x0102030405060708);
    static const uint8_t expected[16] = { 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 1,
                                          2, 3,    4,    5,    6,    7,    8, 0 };
    g_assert_cmpmem(b, sizeof(b), expected, sizeof(expected));
    g_assert_cmphex(get_be16(b + 1), ==, 0x1234);
    g_assert_cmphex(get_be24(b + 3), ==, 0x56789a);
    g_assert_cmphex(get_be32(b + 2), ==, 0x3456789a);
    g_assert_cmphex(get_be64(b + 7), ==, 0x0102030405060708);
    put_be32(b + 5, 0xfffefdfc);
    g_assert_cmphex(get_be32(b + 5), ==, 0xfffefdfc);
}

static void largest_numbers_survive(void)
{
    uint8_t b[8];
    put_be16(b, UINT16_MAX);
    g_assert_cmphex(get_be16(b), ==, UINT16_MAX);
    put_be24(b, 0xffffff);
    g_assert_cmphex(get_be24(b), ==, 0xffffff);
    put_be32(b, UINT32_MAX);
    g_assert_cmphex(get_be32(b), ==, UINT32_MAX);
    put_be64(b, UINT64_MAX);
    g_assert_cmphex(get_be64(b), ==, UINT64_MAX);
}

static void serial_numbers_are_ordered_across_the_wrap(void)
{
    g_assert_true(serial_lt(1, 2));
    g_assert_false(serial_lt(2, 1));
    g_assert_false(serial_lt(7, 7));
    g_assert_true(serial_le(7, 7));
    g_assert_true(serial_ge(7, 7));
    g_assert_false(serial_gt(7, 7));
    g_assert_true(serial_lt(UINT32_MAX, 0));
    g_assert_true(serial_lt(UINT32_MAX - 3, 5));
    g_assert_true(serial_gt(5, UINT32_MAX - 3));
    g_assert_true(serial_le(UINT32_MAX, 0));
    g_assert_false(serial_ge(UINT32_MAX, 0));
    /* RFC 1982: the farthest that still counts as later is 2^31 - 1. */
    g_assert_true(serial_gt(0x7fffffff, 0));
    g_assert_true(serial_lt(0, 0x7fffffff));
    g_assert_false(serial_gt(0x80000001, 0));
}

/* MaxCmdSN = ExpCmdSN - 1 is a closed window, wherever the numbers stand. */
static void a_closed_window_admits_nothing(void)
{
    static const uint32_t starts[] = { 0, 1, 0x7fffffff, 0x80000000, UINT32_MAX };
    for (unsigned i = 0; i < G_N_ELEMENTS(starts); i++) {
        uint32_t expected = starts[i], max = expected - 1;
        g_assert_false(serial_ge(expected, expected) && serial_le(expected, max));
        g_assert_true(serial_lt(max, expected));
    }
}

static uint32_t checksum(const void *data, size_t bytes)
{
    return crc32c_finish(crc32c(CRC32C_START, data, bytes));
}

/* RFC 7143 appendix A.4 (RFC 3720 B.4) prints the bytes as sent, the least significant first. */
static void expect_digest(const uint8_t *data, size_t bytes, const uint8_t sent[4])
{
    uint32_t crc = checksum(data, bytes);
    uint8_t wire[4] = { (uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                        (uint8_t)(crc >> 24) };
    g_assert_cmpmem(wire, 4, sent, 4);
}

static void crc32c_of_the_examples_of_the_rfc(void)
{
    uint8_t zeroes[32] = { 0 }, ones[32], up[32], down[32];
    static const uint8_t read10[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0,
    };
    for (unsigned i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    expect_digest(zeroes, 32, (const uint8_t[]){ 0xaa, 0x36, 0x91, 0x8a });
    expect_digest(ones, 32, (const uint8_t[]){ 0x43, 0xab, 0xa8, 0x62 });
    expect_digest(up, 32, (const uint8_t[]){ 0x4e, 0x79, 0xdd, 0x46 });
    expect_digest(down, 32, (const uint8_t[]){ 0x5c, 0xdb, 0x3f, 0x11 });
    expect_digest(read10, 48, (const uint8_t[]){ 0x56, 0x3a, 0x96, 0xd9 });
    g_assert_cmphex(checksum("123456789", 9), ==, 0xe3069283);
    g_assert_cmphex(checksum("", 0), ==, 0);
}

/* One bit after the other, from the polynomial. */
static uint32_t slow_crc(uint32_t crc, const uint8_t *p, size_t bytes)
{
    for (; bytes > 0; bytes--) {
        crc ^= *p++;
        for (unsigned i = 0; i < 8; i++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return crc;
}

static void crc32c_in_pieces_equals_the_whole(void)
{
    uint8_t data[5000];
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 + i / 7);
    for (size_t cut = 0; cut <= sizeof(data); cut += 97) {
        uint32_t crc = crc32c(crc32c(CRC32C_START, data, cut), data + cut, sizeof(data) - cut);
        g_assert_cmphex(crc, ==, slow_crc(CRC32C_START, data, sizeof(data)));
    }
    for (size_t bytes = 0; bytes < 70; bytes++)
        g_assert_cmphex(crc32c(CRC32C_START, data + 3, bytes), ==,
                        slow_crc(CRC32C_START, data + 3, bytes));
}

static void the_clock_never_goes_back(void)
{
    uint64_t before = clock_now_ns();
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        g_assert_cmpuint(now, >=, before);
        before = now;
    }
    g_assert_cmpuint(before, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/bytes/numbers-are-big-endian-and-need-no-alignment",
                    numbers_are_big_endian_and_need_no_alignment);
    g_test_add_func("/base/bytes/largest-numbers-survive", largest_numbers_survive);
    g_test_add_func("/base/serial/numbers-are-ordered-across-the-wrap",
                    serial_numbers_are_ordered_across_the_wrap);
    g_test_add_func("/base/serial/a-closed-window-admits-nothing", a_closed_window_admits_nothing);
    g_test_add_func("/base/crc32c/examples-of-the-rfc", crc32c_of_the_examples_of_the_rfc);
    g_test_add_func("/base/crc32c/in-pieces-equals-the-whole", crc32c_in_pieces_equals_the_whole);
    g_test_add_func("/base/clock/never-goes-back", the_clock_never_goes_back);
    return g_test_run();
}
