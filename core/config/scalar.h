/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values. The config_text_* functions read one written form and know nothing of nodes; the
 * config_read_* functions read a node, and on failure add exactly one error at its place, naming
 * `key`. Both return 0 or a negative errno and leave the output untouched on failure. Values of
 * private nodes (plugin options, which may be secrets) are never shown. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/yaml.h"

/* "4096", "64K", "20G": K M G T P are powers of 1024. -EINVAL, -ERANGE beyond 2^64-1. */
int config_text_size(const char *text, uint64_t *ret_bytes);
/* "50us", "20ms", "15s", "5m", "1h", also "0"; nanoseconds. -EINVAL (no unit too), -ERANGE. */
int config_text_duration(const char *text, uint64_t *ret_ns);
/* yes no true false on off, any case. -EINVAL. */
int config_text_bool(const char *text, bool *ret_value);
/* Decimal digits. -EINVAL, -ERANGE. */
int config_text_unsigned(const char *text, uint64_t *ret_value);
/* Exactly `bytes` * 2 hexadecimal digits, an "0x" before them allowed. -EINVAL. */
int config_text_hex(const char *text, uint8_t *ret_bytes, size_t bytes);

int config_read_size(const struct config_node *node, const char *key, uint64_t min, uint64_t max,
                     uint64_t *ret_bytes, struct config_problems *problems);
int config_read_duration(const struct config_node *node, const char *key, uint64_t min,
                         uint64_t max, uint64_t *ret_ns, struct config_problems *problems);
int config_read_unsigned(const struct config_node *node, const char *key, uint64_t min,
                         uint64_t max, uint64_t *ret_value, struct config_problems *problems);
int config_read_bool(const struct config_node *node, const char *key, bool *ret_value,
                     struct config_problems *problems);
/* `words` ends with NULL; the index of the word. */
int config_read_choice(const struct config_node *node, const char *key, const char *const *words,
                       unsigned *ret_index, struct config_problems *problems);
/* Any text but nothing and `~`; `null` is a word (a handler has that name); into the node. */
int config_read_string(const struct config_node *node, const char *key, const char **ret_text,
                       struct config_problems *problems);
/* An absolute path, at most 4095 bytes; points into the node. */
int config_read_path(const struct config_node *node, const char *key, const char **ret_path,
                     struct config_problems *problems);

/* Unless `node` is of `type`, adds "key: must be a mapping" (a list, a value); -EINVAL then. */
int config_read_type(const struct config_node *node, const char *key, enum config_node_type type,
                     struct config_problems *problems);
/* Adds "unknown key 'x' (did you mean 'y'?)" at a key; `known` ends with NULL. */
void config_unknown_key(const struct config_node *key, const char *const *known,
                        struct config_problems *problems);

/* The word most like `text`, NULL when none is near enough to be meant. `words` ends with NULL. */
const char *config_nearest(const char *text, const char *const *words);
/* " (did you mean 'x'?)" or ""; g_free(). */
char *config_did_you_mean(const char *text, const char *const *words);

/* `*` is any run of characters, `?` any one byte, all else itself. Quadratic at worst. */
bool config_glob_match(const char *pattern, const char *text);
/* True when `patterns` (ends with NULL) is NULL or one of them matches. */
bool config_glob_any(const char *const *patterns, const char *text);
/* A size or duration in its shortest form ("64K", "15s") for messages; g_free(). */
char *config_format_size(uint64_t bytes);
char *config_format_duration(uint64_t ns);
