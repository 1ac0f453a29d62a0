/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading rules as "iptables -S" prints them. Most of them are other people's. */
#include "iptables.h"

#include <stdio.h>
#include <string.h>

bool listing_next(const char **at, char *line, size_t max)
{
    if (**at == '\0')
        return false;
    size_t length = strcspn(*at, "\n");
    snprintf(line, max, "%.*s", (int)(length < max ? length : max - 1), *at);
    *at += length + ((*at)[length] == '\n');
    return true;
}

bool listing_has(const char *line, const char *words)
{
    size_t length = strlen(words);

    for (const char *at = line; (at = strstr(at, words)) != NULL; at++) {
        bool begins = at == line || at[-1] == ' ';
        if (begins && (at[length] == '\0' || at[length] == ' '))
            return true;
    }
    return false;
}

bool listing_is_rule_of(const char *line, const char *chain)
{
    size_t length = strlen(chain);
    return strncmp(line, "-A ", 3) == 0 && strncmp(line + 3, chain, length) == 0 &&
           line[3 + length] == ' ';
}

bool listing_value(const char *line, const char *option, char *value, size_t max)
{
    size_t length = strlen(option);
    const char *at = strstr(line, option);

    if (!at || at[length] != ' ')
        return false;
    at += length + 1;
    snprintf(value, max, "%.*s", (int)strcspn(at, " "), at);
    return true;
}
