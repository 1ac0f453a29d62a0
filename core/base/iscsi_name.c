/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/iscsi_name.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

static int refuse(const char **ret_problem, const char *problem)
{
    *ret_problem = problem;
    return -EINVAL;
}

static bool all_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!g_ascii_isdigit(s[i]))
            return false;
    return true;
}

/* A reversed domain: labels of letters, digits, underscores and inner hyphens, separated by dots. */
static bool is_domain(const char *s, size_t n)
{
    char before = '.';
    for (size_t i = 0; i < n; i++) {
        char next = i + 1 < n ? s[i + 1] : '.';
        if (s[i] == '.' ? before == '.' : !g_ascii_isalnum(s[i]) && s[i] != '-' && s[i] != '_')
            return false;
        if (s[i] == '-' && (before == '.' || next == '.'))
            return false;
        before = s[i];
    }
    return n > 0 && before != '.';
}

/* "yyyy-mm.domain[:anything]" */
static const char *iqn_problem(const char *rest)
{
    if (strlen(rest) < 9 || !all_digits(rest, 4) || rest[4] != '-' || !all_digits(rest + 5, 2) ||
        rest[7] != '.')
        return "iqn. must be followed by a date and a dot (iqn.2026-11.org.example:disk1)";
    int month = (rest[5] - '0') * 10 + rest[6] - '0';
    if (month < 1 || month > 12)
        return "the month of an iqn. name must be 01 to 12";
    const char *domain = rest + 8;
    if (!is_domain(domain, strcspn(domain, ":")))
        return "the date of an iqn. name must be followed by a reversed domain name";
    return NULL;
}

static bool is_hex(const char *s, size_t length)
{
    if (strlen(s) != length)
        return false;
    for (; *s; s++)
        if (!g_ascii_isxdigit(*s))
            return false;
    return true;
}

static const char *form_problem(const char *name)
{
    if (strncmp(name, "iqn.", 4) == 0)
        return iqn_problem(name + 4);
    if (strncmp(name, "eui.", 4) == 0)
        return is_hex(name + 4, 16) || is_hex(name + 4, 32)
                   ? NULL
                   : "eui. must be followed by 16 or 32 hexadecimal digits";
    if (strncmp(name, "naa.", 4) == 0)
        return is_hex(name + 4, 16) || is_hex(name + 4, 32)
                   ? NULL
                   : "naa. must be followed by 16 or 32 hexadecimal digits";
    return "must begin with iqn., eui. or naa.";
}

/*
 * RFC 3722 6.2: of ASCII only letters, digits, '-', '.' and ':' are left. Real initiators use other
 * printable characters too ("_" above all), and no two names become equal by letting them be: only
 * white space and control characters are refused, and what would break the text formats that names
 * are sent in (RFC 7143 6.1: a list is separated by commas, SendTargets appends ",tag").
 */
static const char *character_problem(const char *name)
{
    for (const char *c = name; *c; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);
        if (g_unichar_isspace(u) || g_unichar_iscntrl(u) || g_unichar_type(u) == G_UNICODE_FORMAT ||
            g_unichar_type(u) == G_UNICODE_PRIVATE_USE || g_unichar_type(u) == G_UNICODE_UNASSIGNED)
            return "must not contain white space or control characters";
        if (u == ',' || u == '"' || u == '\\')
            return "must not contain a comma, a quotation mark or a backslash";
    }
    return NULL;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

int iscsi_name_normalise(const char *in, char out[ISCSI_NAME_MAX + 1], const char **ret_problem)
{
    char ascii[ISCSI_NAME_MAX + 1];
    g_autofree char *wide = NULL;
    const char *name = ascii;
    size_t length = strnlen(in, ISCSI_NAME_MAX + 1);

    if (length > ISCSI_NAME_MAX)
        return refuse(ret_problem, "must not be longer than 223 bytes");
    if (is_ascii(in)) {
        for (size_t i = 0; i <= length; i++)
            ascii[i] = g_ascii_tolower(in[i]);
    } else {
        if (!g_utf8_validate(in, -1, NULL))
            return refuse(ret_problem, "is not valid UTF-8");
        /* Composed before too: a mathematical letter becomes one that has a lower case. */
        g_autofree char *composed = g_utf8_normalize(in, -1, G_NORMALIZE_NFKC);
        g_autofree char *lower = g_utf8_strdown(composed, -1);
        name = wide = g_utf8_normalize(lower, -1, G_NORMALIZE_NFKC);
        if (strlen(name) > ISCSI_NAME_MAX)
            return refuse(ret_problem, "must not be longer than 223 bytes");
    }
    const char *problem = character_problem(name);
    if (!problem)
        problem = form_problem(name);
    if (problem)
        return refuse(ret_problem, problem);
    memcpy(out, name, strlen(name) + 1);
    return 0;
}
