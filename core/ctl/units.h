/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as people read them, at most six characters or so. Each returns a new string; g_free(). */
#pragma once

#include <stdint.h>

/* "0", "512", "64K", "1.5G": powers of 1024, as in the configuration. */
char *units_bytes(double bytes);
/* "0", "123456", "12.3M": powers of 1000. */
char *units_count(double count);
/* "0", "85us", "1.2ms", "3.4s"; of nanoseconds. */
char *units_latency(double ns);
/* "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"; of seconds. */
char *units_duration(double seconds);
