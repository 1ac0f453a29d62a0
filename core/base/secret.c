/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void secret_wipe(void *p, size_t bytes)
{
    explicit_bzero(p, bytes);
}

bool secret_equal(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < bytes; i++)
        difference |= x[i] ^ y[i];
    return difference == 0;
}

void secret_random(void *p, size_t bytes)
{
    uint8_t *b = p;
    while (bytes > 0) {
        ssize_t n = getrandom(b, bytes, 0);
        if (n < 0)
            continue; /* EINTR: getrandom() has no other error here */
        b += n;
        bytes -= (size_t)n;
    }
}
