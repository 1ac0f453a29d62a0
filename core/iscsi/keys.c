/* SPDX-License-Identifier: BSD-3-Clause */
/* Text keys: see keys.h. Every loop here is bounded by the buffer it walks. */
#include "iscsi/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* RFC 7143 6.1: letters, digits and .-+@_; '#' for the X# keys. */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(".-+@_#", c));
}

static bool name_is_valid(const char *name)
{
    /* A capital by the RFC, whose own iSCSIProtocolLevel has none. */
    if (!((name[0] | 0x20) >= 'a' && (name[0] | 0x20) <= 'z'))
        return false;
    for (const char *c = name; *c; c++)
        if (!is_name_char(*c))
            return false;
    return strlen(name) <= KEYS_NAME_MAX;
}

/* One pair that starts at `text` and ends with a NUL at text[bytes]. */
static int decode_pair(char *text, uint32_t bytes, struct keys_pair *ret_pair)
{
    char *equals = memchr(text, '=', bytes);
    if (!equals)
        return -EINVAL;
    *equals = '\0';
    if (!name_is_valid(text))
        return -EINVAL;
    uint32_t value_bytes = (uint32_t)(text + bytes - (equals + 1));
    if (value_bytes > KEYS_LARGE_MAX)
        return -E2BIG;
    *ret_pair = (struct keys_pair){ .name = text, .value = equals + 1, .value_bytes = value_bytes };
    return 0;
}

int keys_decode(char *text, uint32_t bytes, struct keys *ret_keys)
{
    ret_keys->count = 0;
    for (uint32_t at = 0; at < bytes;) {
        char *end = memchr(text + at, '\0', bytes - at);
        if (!end)
            return -EINVAL;
        uint32_t pair_bytes = (uint32_t)(end - (text + at));
        /* Some initiators count the padding into the segment: NULs between pairs mean nothing. */
        if (pair_bytes > 0) {
            if (ret_keys->count == KEYS_MAX)
                return -E2BIG;
            int r = decode_pair(text + at, pair_bytes, &ret_keys->pair[ret_keys->count]);
            if (r < 0)
                return r;
            ret_keys->count++;
        }
        at += pair_bytes + 1;
    }
    return 0;
}

const char *keys_find(const struct keys *keys, const char *name)
{
    for (unsigned i = 0; i < keys->count; i++)
        if (strcmp(keys->pair[i].name, name) == 0)
            return keys->pair[i].value;
    return NULL;
}

const char *keys_find_double(const struct keys *keys)
{
    for (unsigned i = 1; i < keys->count; i++)
        for (unsigned j = 0; j < i; j++)
            if (strcmp(keys->pair[i].name, keys->pair[j].name) == 0)
                return keys->pair[i].name;
    return NULL;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

int keys_number(const char *value, uint32_t *ret_number)
{
    int base = 10;
    if (value[0] == '0' && (value[1] == 'x' || value[1] == 'X')) {
        base = 16;
        value += 2;
    }
    if (!*value)
        return -EINVAL;
    uint64_t number = 0;
    for (; *value; value++) {
        int digit = digit_value(*value);
        if (digit >= base)
            return -EINVAL;
        number = number * (unsigned)base + (unsigned)digit;
        if (number > UINT32_MAX)
            return -EINVAL;
    }
    *ret_number = (uint32_t)number;
    return 0;
}

int keys_bool(const char *value, bool *ret_bool)
{
    bool yes = strcmp(value, "Yes") == 0;
    if (!yes && strcmp(value, "No") != 0)
        return -EINVAL;
    *ret_bool = yes;
    return 0;
}

bool keys_list_next(const char **cursor, const char **ret_item, uint32_t *ret_bytes)
{
    if (!*cursor)
        return false;
    const char *comma = strchr(*cursor, ',');
    *ret_item = *cursor;
    *ret_bytes = (uint32_t)(comma ? (size_t)(comma - *cursor) : strlen(*cursor));
    *cursor = comma ? comma + 1 : NULL;
    return true;
}

bool keys_item_is(const char *item, uint32_t bytes, const char *word)
{
    return strlen(word) == bytes && memcmp(item, word, bytes) == 0;
}

void keys_put(struct keys_writer *w, const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);
    size_t need = name_bytes + 1 + value_bytes + 1;
    if (w->overflow || need > w->size - w->used) {
        w->overflow = true;
        return;
    }
    char *at = w->text + w->used;
    memcpy(at, name, name_bytes);
    at[name_bytes] = '=';
    memcpy(at + name_bytes + 1, value, value_bytes + 1);
    w->used += (uint32_t)need;
}

void keys_put_number(struct keys_writer *w, const char *name, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    keys_put(w, name, text);
}

void keys_put_bool(struct keys_writer *w, const char *name, bool value)
{
    keys_put(w, name, value ? "Yes" : "No");
}
