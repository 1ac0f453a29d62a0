/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of plugins: see error.h. Texts come from strangers, so control bytes become '?'. */
#include "plugin/error.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugin/host.h"

static void one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int plugin_fail_v(struct hf_error *error, int code, const char *format, va_list args)
{
    if (code <= 0)
        code = code < 0 ? -code : 5 /* EIO */;
    if (!error)
        return -code;
    char text[sizeof(error->text)]; /* an argument may be the old text */
    vsnprintf(text, sizeof(text), format, args);
    one_line(text);
    error->code = code;
    memcpy(error->text, text, sizeof(text));
    return -code;
}

int plugin_fail(struct hf_error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = plugin_fail_v(error, code, format, args);
    va_end(args);
    return r;
}

void plugin_error_prefix(struct hf_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *prefix = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *text =
        g_strdup_printf("%s: %s", prefix, error->text[0] ? error->text : strerror(error->code));
    g_strlcpy(error->text, text, sizeof(error->text));
    one_line(error->text);
}
