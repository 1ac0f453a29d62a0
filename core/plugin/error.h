/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the plugin API knows as the opaque struct hf_error: an errno and one line for people. Lies
 * on the caller's stack; host->fail() fills it. The first text stays, a caller may put words before it.
 */
#pragma once

#include <stdint.h>

#define PLUGIN_ERROR_TEXT 512

struct hf_error {
    int code;                     /* positive errno; 0: nothing failed */
    char text[PLUGIN_ERROR_TEXT]; /* one line without newline; "" when nobody said anything */
};

#define PLUGIN_ERROR_INIT                                                                          \
    {                                                                                              \
        0, ""                                                                                      \
    }

/* Sets both (an earlier text is replaced) and returns -code. `error` may be NULL. */
__attribute__((format(printf, 3, 4))) int plugin_fail(struct hf_error *error, int code,
                                                      const char *format, ...);
/* Puts "prefix: " before the text; without a text the name of the errno takes its place. */
__attribute__((format(printf, 2, 3))) void plugin_error_prefix(struct hf_error *error,
                                                               const char *format, ...);
