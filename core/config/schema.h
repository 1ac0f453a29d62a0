/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables that describe the fixed mappings of the file: one row a key. A row drives the reading of
 * the key, its default, the messages about it, and the tests that compare the example file and the
 * man page with the program. Private to core/config and its tests.
 *
 * A default is written as it would stand in the file and read in the same way.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "config/chunks.h"
#include "config/scalar.h"

/* While a file is read; `chunks` owns what the model's pointers point at. */
struct config_reader {
    struct config_problems *problems;
    struct config_chunks *chunks;
    struct config *config; /* as far as it is read */
};

enum config_field_type {
    FIELD_UNSIGNED, /* unsigned, min..max */
    FIELD_SIZE,     /* uint64_t bytes, min..max */
    FIELD_SIZE32,   /* uint32_t bytes, min..max */
    FIELD_DURATION, /* uint64_t ns, min..max */
    FIELD_INTERVAL, /* uint64_t ns, min..max or 0 for off */
    FIELD_SECONDS,  /* unsigned, whole seconds, min..max in ns */
    FIELD_BOOL,     /* bool */
    FIELD_PATH,     /* const char *, absolute, at most max bytes */
    FIELD_TEXT,     /* const char *, UTF-8 without control characters, at most max bytes */
    FIELD_ASCII,    /* const char *, printable ASCII, at most max bytes */
    FIELD_NAME,     /* const char *, letters digits - _, at most 63 */
    FIELD_SUBTREE,  /* const struct config_node *, a mapping kept as it is */
    FIELD_CUSTOM,   /* `read` does it, and knows the default */
};

struct config_field;

/* `node` is NULL when the key is left out; `object` is the struct that the table fills. */
typedef void (*config_field_fn)(const struct config_node *node, const struct config_field *field,
                                void *object, struct config_reader *reader);

struct config_field {
    const char *key;
    enum config_field_type type;
    size_t offset; /* of the value in the struct */
    uint64_t min, max;
    const char *fallback; /* the default; NULL: what the struct held before stays */
    bool required;
    size_t node_offset;   /* of a member that gets the value's node; 0: none */
    config_field_fn read; /* FIELD_CUSTOM only */
};

struct config_schema {
    const char *name;                  /* "daemon", for tests and documents */
    const struct config_field *fields; /* read in this order; end with a NULL key */
};

/* Reads a mapping into `object`. Problems are added; all rows are read whatever happens to others.
 * `node` may be NULL or null: then only defaults apply (a missing required key is an error). */
void config_schema_read(const struct config_schema *schema, const struct config_node *node,
                        const char *key, void *object, struct config_reader *reader);

/* Zeroed memory that lives as long as the configuration. */
void *config_alloc(struct config_reader *reader, size_t bytes);
char *config_keep(struct config_reader *reader, const char *text);

/*
 * A list of words, or one word standing for a list of one: *ret_items are scalars with text. What
 * is no word is reported and left out; an empty list is reported. The number of items.
 */
unsigned config_read_words(const struct config_node *node, const char *key,
                           const struct config_node ***ret_items, struct config_reader *reader);
/* Letters, digits, `-`, `_` and (when dots) `.`; 1 to 63. */
bool config_is_name(const char *text, bool dots);

/* Every table, in the order of the documents; ends with NULL. */
extern const struct config_schema *const config_schemas[];
