/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes -> values, with one message for each thing that is wrong; see scalar.h. */
#include "config/scalar.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define SHOWN_MAX       60 /* characters of a value in a message */
#define PATH_LENGTH_MAX 4095

/* "'text' is " or, for what may be a secret, nothing. */
static char *subject(const struct config_node *node)
{
    if (node->private)
        return g_strdup("");
    if (g_utf8_strlen(node->text, -1) <= SHOWN_MAX)
        return g_strdup_printf("'%s' is ", node->text);
    g_autofree char *start = g_utf8_substring(node->text, 0, SHOWN_MAX);
    return g_strdup_printf("'%s…' is ", start);
}

static int refuse(const struct config_node *node, const char *key, const char *what,
                  struct config_problems *problems)
{
    g_autofree char *value = subject(node);
    config_problem_error(problems, node, "%s: %s%s", key, value, what);
    return -EINVAL;
}

int config_read_type(const struct config_node *node, const char *key, enum config_node_type type,
                     struct config_problems *problems)
{
    if (node->type == type)
        return 0;
    if (config_node_is_null(node))
        config_problem_error(problems, node, "%s: must be %s, but nothing is here", key,
                             config_node_type_name(type));
    else
        config_problem_error(problems, node, "%s: must be %s, not %s", key,
                             config_node_type_name(type), config_node_type_name(node->type));
    return -EINVAL;
}

/* `null` is a word here: a handler has that name. */
static int need_text(const struct config_node *node, const char *key,
                     struct config_problems *problems)
{
    if (config_read_type(node, key, CONFIG_SCALAR, problems) < 0)
        return -EINVAL;
    if (node->text[0] == '\0' || (!node->quoted && strcmp(node->text, "~") == 0)) {
        config_problem_error(problems, node, "%s: must have a value", key);
        return -EINVAL;
    }
    return 0;
}

typedef int (*text_fn)(const char *text, uint64_t *ret_value);
typedef char *(*format_fn)(uint64_t value);

static char *format_plain(uint64_t value)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

struct number_kind {
    text_fn parse;
    format_fn format;
    const char *wrong;
};

static const struct number_kind size_kind = { config_text_size, config_format_size,
                                              "not a size (such as 4096, 64K, 512M or 20G)" };
static const struct number_kind duration_kind = {
    config_text_duration, config_format_duration,
    "not a duration (such as 50us, 20ms, 15s, 5m or 1h)"
};
static const struct number_kind unsigned_kind = { config_text_unsigned, format_plain,
                                                  "not a whole number" };

static int read_number(const struct config_node *node, const char *key,
                       const struct number_kind *kind, uint64_t min, uint64_t max,
                       uint64_t *ret_value, struct config_problems *problems)
{
    uint64_t value;
    if (need_text(node, key, problems) < 0)
        return -EINVAL;
    int r = kind->parse(node->text, &value);
    if (r == -EINVAL)
        return refuse(node, key, kind->wrong, problems);
    if (r < 0 || value < min || value > max) {
        g_autofree char *low = kind->format(min), *high = kind->format(max);
        g_autofree char *text = g_strdup_printf("out of range (%s to %s)", low, high);
        return refuse(node, key, text, problems);
    }
    *ret_value = value;
    return 0;
}

int config_read_size(const struct config_node *node, const char *key, uint64_t min, uint64_t max,
                     uint64_t *ret_bytes, struct config_problems *problems)
{
    return read_number(node, key, &size_kind, min, max, ret_bytes, problems);
}

int config_read_duration(const struct config_node *node, const char *key, uint64_t min,
                         uint64_t max, uint64_t *ret_ns, struct config_problems *problems)
{
    return read_number(node, key, &duration_kind, min, max, ret_ns, problems);
}

int config_read_unsigned(const struct config_node *node, const char *key, uint64_t min,
                         uint64_t max, uint64_t *ret_value, struct config_problems *problems)
{
    return read_number(node, key, &unsigned_kind, min, max, ret_value, problems);
}

int config_read_bool(const struct config_node *node, const char *key, bool *ret_value,
                     struct config_problems *problems)
{
    if (need_text(node, key, problems) < 0)
        return -EINVAL;
    if (config_text_bool(node->text, ret_value) < 0)
        return refuse(node, key, "neither yes nor no", problems);
    return 0;
}

int config_read_choice(const struct config_node *node, const char *key, const char *const *words,
                       unsigned *ret_index, struct config_problems *problems)
{
    if (need_text(node, key, problems) < 0)
        return -EINVAL;
    for (unsigned i = 0; words[i]; i++) {
        if (strcmp(node->text, words[i]) == 0) {
            *ret_index = i;
            return 0;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    g_autofree char *hint = config_did_you_mean(node->text, words);
    g_autofree char *text = g_strdup_printf("not one of %s%s", all, hint);
    return refuse(node, key, text, problems);
}

int config_read_string(const struct config_node *node, const char *key, const char **ret_text,
                       struct config_problems *problems)
{
    if (need_text(node, key, problems) < 0)
        return -EINVAL;
    *ret_text = node->text;
    return 0;
}

int config_read_path(const struct config_node *node, const char *key, const char **ret_path,
                     struct config_problems *problems)
{
    if (need_text(node, key, problems) < 0)
        return -EINVAL;
    if (node->text[0] != '/')
        return refuse(node, key, "not an absolute path (it must begin with /)", problems);
    if (strlen(node->text) > PATH_LENGTH_MAX) {
        config_problem_error(problems, node, "%s: the path is longer than %d bytes", key,
                             PATH_LENGTH_MAX);
        return -EINVAL;
    }
    *ret_path = node->text;
    return 0;
}

void config_unknown_key(const struct config_node *key, const char *const *known,
                        struct config_problems *problems)
{
    g_autofree char *hint = config_did_you_mean(key->text, known);
    config_problem_error(problems, key, "unknown key '%s'%s", key->text, hint);
}
