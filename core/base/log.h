/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line an event, written with one write(2) to standard error, from any thread.
 *
 * Form: `<time> <level> <domain>: <text>`; when journald is the parent (JOURNAL_STREAM is set) the
 * time is left out and the line starts with the `<N>` priority of sd-daemon(3). Texts follow the
 * pattern `what happened key=value key="value with spaces"`. Control bytes are written as \xNN, so
 * a peer's bytes cannot forge a line; lines are cut at 1 KiB. Secrets are never logged; nothing is
 * logged per command.
 *
 * A library function does not log an error that it returns; the place that gives up does.
 */
#pragma once

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* 0 and the level, or -EINVAL; names: error warning notice info debug. */
int log_level_parse(const char *name, enum log_level *ret_level);
/* The name of a level; a constant string. */
const char *log_level_name(enum log_level level);
/* A word put before the domain in every line ("keeper", "worker"); a string that lives for ever. */
void log_set_role(const char *role);

__attribute__((format(printf, 3, 4))) void log_write(enum log_level level, const char *domain, const char *fmt, ...);

#define log_error(domain, ...)   log_write(LOG_LEVEL_ERROR, domain, __VA_ARGS__)
#define log_warning(domain, ...) log_write(LOG_LEVEL_WARNING, domain, __VA_ARGS__)
#define log_notice(domain, ...)  log_write(LOG_LEVEL_NOTICE, domain, __VA_ARGS__)
#define log_info(domain, ...)    log_write(LOG_LEVEL_INFO, domain, __VA_ARGS__)
#define log_debug(domain, ...)                                                                     \
    do {                                                                                           \
        if (log_get_level() >= LOG_LEVEL_DEBUG)                                                    \
            log_write(LOG_LEVEL_DEBUG, domain, __VA_ARGS__);                                       \
    } while (0)
