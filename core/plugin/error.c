/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of plugins: see error.h. Texts come from strangers, so control bytes become '?'. */
#include "plugin/error.h"

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
    error->code = code;
    vsnprintf(error->text, sizeof(error->text), format, args);
    one_line(error->text);
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
    char prefix[PLUGIN_ERROR_TEXT], text[PLUGIN_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    snprintf(text, sizeof(text), "%s", error->text[0] ? error->text : strerror(error->code));
    size_t used = strnlen(prefix, sizeof(prefix) - 3);
    memcpy(error->text, prefix, used);
    snprintf(error->text + used, sizeof(error->text) - used, ": %s", text);
    one_line(error->text);
}
