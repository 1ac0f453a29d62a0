/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text format of Login and Text PDUs (RFC 7143 6.1): key=value pairs, each ended by a NUL.
 * Pure functions over bounded buffers; pairs point into the decoded text, which stays the
 * caller's. Anything here may come from a stranger.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KEYS_MAX       128  /* pairs in one text */
#define KEYS_NAME_MAX  63   /* bytes in a key */
#define KEYS_VALUE_MAX 255  /* bytes in a value, unless the key says otherwise */
#define KEYS_LARGE_MAX 4096 /* bytes in the longest value of any key (binary values, as text) */

struct keys_pair {
    const char *name; /* both NUL-terminated */
    const char *value;
    uint32_t value_bytes; /* without the NUL */
};

struct keys {
    unsigned count;
    struct keys_pair pair[KEYS_MAX];
};

/*
 * Splits `text` in place (a '=' becomes a NUL). 0, or -EINVAL: a pair without '=', a key that is
 * empty, too long or has a foreign character, a last pair without its NUL; -E2BIG: too many pairs
 * or too long a value. A key that comes twice is left to the caller, who knows which may.
 */
int keys_decode(char *text, uint32_t bytes, struct keys *ret_keys);

/* The value of `name`, or NULL. */
const char *keys_find(const struct keys *keys, const char *name);

/* A key that comes more than once, or NULL. */
const char *keys_find_double(const struct keys *keys);

/* Decimal or 0x hex, at most 32 bits, nothing before or after it. 0 or -EINVAL. */
int keys_number(const char *value, uint32_t *ret_number);
/* "Yes" or "No" and nothing else. 0 or -EINVAL. */
int keys_bool(const char *value, bool *ret_bool);
/*
 * The next item of a comma separated list: *cursor starts at the value and moves on; false at the
 * end. An empty item has length 0.
 */
bool keys_list_next(const char **cursor, const char **ret_item, uint32_t *ret_bytes);
bool keys_item_is(const char *item, uint32_t bytes, const char *word);

/* Text being written: a fixed buffer; what does not fit sets `overflow` and adds nothing. */
struct keys_writer {
    char *text;
    uint32_t size, used;
    bool overflow;
};

void keys_put(struct keys_writer *w, const char *name, const char *value);
void keys_put_number(struct keys_writer *w, const char *name, uint32_t value);
void keys_put_bool(struct keys_writer *w, const char *name, bool value);
