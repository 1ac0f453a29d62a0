/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words that a person may have meant (edit distance with neighbours swapped counting as one), and
 * patterns of names.
 */
#include "config/scalar.h"

#include <glib.h>
#include <string.h>

#define WORD_MAX 64 /* longer ones are not compared */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* "Optimal string alignment": insert, delete, replace, swap neighbours. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= m; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned cost = g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[j - 1]);
            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

const char *config_nearest(const char *text, const char *const *words)
{
    size_t length = strlen(text);
    unsigned best_distance = (unsigned)(length / 3) + 1;
    const char *best = NULL;
    if (length == 0 || length > WORD_MAX)
        return NULL;
    for (; *words; words++) {
        if (strlen(*words) > WORD_MAX)
            continue;
        unsigned d = distance(text, *words);
        if (d < strlen(*words) && (d < best_distance || (!best && d == best_distance))) {
            best_distance = d;
            best = *words;
        }
    }
    return best;
}

char *config_did_you_mean(const char *text, const char *const *words)
{
    const char *word = config_nearest(text, words);
    return word ? g_strdup_printf(" (did you mean '%s'?)", word) : g_strdup("");
}

bool config_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL; /* the last `*`, and where it may go on eating */
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool config_glob_any(const char *const *patterns, const char *text)
{
    if (!patterns)
        return true;
    for (; *patterns; patterns++)
        if (config_glob_match(*patterns, text))
            return true;
    return false;
}
