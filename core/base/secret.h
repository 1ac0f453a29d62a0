/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets: read from files, compared in constant time, wiped. Never logged or printed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Overwrites memory in a way that the compiler keeps. */
void secret_wipe(void *p, size_t bytes);
/* Constant time for equal lengths. */
bool secret_equal(const void *a, const void *b, size_t bytes);
/* Random bytes from the kernel; never fails (waits for the kernel's pool at boot). */
void secret_random(void *p, size_t bytes);
