/* SPDX-License-Identifier: BSD-3-Clause */
/* See log.h. A line is built in a buffer on the stack and leaves in one write, so lines of several
 * threads and of keeper and worker never mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static _Atomic int current_level = LOG_LEVEL_INFO;
static const char *_Atomic current_role = NULL;

static const char *const level_names[] = { [LOG_LEVEL_ERROR] = "error",
                                           [LOG_LEVEL_WARNING] = "warning",
                                           [LOG_LEVEL_NOTICE] = "notice",
                                           [LOG_LEVEL_INFO] = "info",
                                           [LOG_LEVEL_DEBUG] = "debug" };

void log_set_level(enum log_level level)
{
    current_level = (int)level;
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        if (strcmp(level_names[i], name) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

void log_set_role(const char *role)
{
    current_role = role;
}

static bool journald_is_parent(void)
{
    static _Atomic int known = -1;
    if (known < 0)
        known = getenv("JOURNAL_STREAM") != NULL;
    return known;
}

static size_t put_prefix(char *line, size_t room, enum log_level level, const char *domain)
{
    const char *role = current_role;
    int n;
    if (journald_is_parent()) {
        n = snprintf(line, room, "<%d>", (int)level);
    } else {
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        n = (int)strftime(line, room, "%Y-%m-%dT%H:%M:%S", &tm);
        n += snprintf(line + n, room - (size_t)n, ".%03ldZ %s ", now.tv_nsec / 1000000, level_names[level]);
    }
    n += snprintf(line + n, room - (size_t)n, "%s%s%s: ", role ? role : "", role ? "/" : "", domain);
    return (size_t)n;
}

void log_write(enum log_level level, const char *domain, const char *fmt, ...)
{
    if (level > log_get_level())
        return;
    int saved_errno = errno;
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    size_t at = put_prefix(line, sizeof(line) / 2, level, domain);
    for (const char *p = text; *p && at + 6 < sizeof(line); p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(line + at, 6, "\\x%02x", c);
        else
            line[at++] = (char)c;
    }
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0) {
        /* nowhere to say it */
    }
    errno = saved_errno;
}
