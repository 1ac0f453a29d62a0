/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The problems of a configuration file. Checking does not stop at the first: every stage adds what
 * it finds, and the list is shown sorted by place. An error makes the configuration unusable, a
 * warning does not.
 *
 * Texts are made safe when they are added (control bytes become \xNN, length is bounded), so a file
 * cannot forge lines of output. Not thread-safe; one owner at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONFIG_PROBLEMS_MAX 200 /* further ones are only counted */

struct config_node;
struct config_problems;

enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

struct config_problem {
    enum config_severity severity;
    char *file;
    unsigned line, column; /* 0: the file as a whole */
    char *text;
};

struct config_problems *config_problems_new(void);
struct config_problems *config_problems_free(struct config_problems *problems);

/* Adds a problem at a node; `at` may be NULL (no place: only the text is shown). */
__attribute__((format(printf, 3, 4))) void config_problem_error(struct config_problems *problems,
                                                                const struct config_node *at,
                                                                const char *format, ...);
__attribute__((format(printf, 3, 4))) void config_problem_warning(struct config_problems *problems,
                                                                  const struct config_node *at,
                                                                  const char *format, ...);
/* The same with an explicit place. `file` is copied. */
__attribute__((format(printf, 6, 7))) void config_problem_add(struct config_problems *problems,
                                                              enum config_severity severity,
                                                              const char *file, unsigned line,
                                                              unsigned column, const char *format,
                                                              ...);

/* Errors counted so far, those beyond the limit included; compare before and after a stage. */
unsigned config_problems_errors(const struct config_problems *problems);
unsigned config_problems_count(const struct config_problems *problems);
/* The index-th problem sorted by file, line, column, order of finding; valid until the next add. */
const struct config_problem *config_problems_get(struct config_problems *problems, unsigned index);
/* "FILE:LINE:COL: text" ("FILE:LINE:COL: warning: text"), no newline; g_free(). */
char *config_problem_format(const struct config_problem *problem);
/* One line each; a last line tells how many more there were. */
void config_problems_print(struct config_problems *problems, FILE *to);
