/* SPDX-License-Identifier: BSD-3-Clause */
/* Helpers of the tests of configuration: whole lists of problems as text. */
#pragma once

#include <glib.h>

#include "config/problem.h"

/* One line a problem, as a person sees them. Frees the list. */
static inline char *problems_text(struct config_problems *problems)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_string_append_printf(text, "%s\n", line);
    }
    config_problems_free(problems);
    return g_string_free(text, FALSE);
}
