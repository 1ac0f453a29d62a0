/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A YAML file as a tree of nodes. Every node knows its file, line and column, so each later stage
 * (model, plugin options, opening of LUNs) can say where in the file the cause of a problem stands.
 *
 * A tree is immutable once parsed (but for lines, which the thread that owns a configuration may shift), is freed
 * as a whole, and may be read from any thread. The file
 * is hostile: its size, depth and number of nodes are limited, anchors and aliases are refused (no
 * tree larger than its text), a key may stand in a mapping only once, keys are scalars.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/problem.h"

#define CONFIG_TEXT_MAX  (8u << 20) /* bytes of a file */
#define CONFIG_DEPTH_MAX 24         /* nested sequences and mappings */
#define CONFIG_NODES_MAX 400000u    /* scalars, sequences and mappings, keys included */

/*
 * What nodes have in common. All that stands under one key of the top, and under one key of `targets`, has a
 * source of its own: when one part of a file gets longer the others need not be read again.
 */
struct config_source {
    const char *file; /* its name, as given to config_tree_parse() */
    int shift;        /* lines that were added before it since it was read */
};

enum config_node_type { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_MAPPING };

struct config_node {
    enum config_node_type type;
    bool quoted;                        /* scalar: was written with quotes or as a block */
    bool private;                       /* lies under `options:`: messages never show its text */
    const struct config_source *source; /* NULL: it stands in no file */
    unsigned line_read, column; /* from 1, see config_node_line(); the column counts characters */
    const char *text;           /* scalar: UTF-8 without NUL; "" otherwise */
    unsigned count;             /* sequence: items; mapping: entries */
    union {
        const struct config_node *const *items; /* sequence */
        const struct config_entry *entries;     /* mapping, in the order of the file */
    };
};

struct config_entry {
    const struct config_node *key; /* a scalar */
    const struct config_node *value;
};

struct config_tree;

/*
 * Parses one document. -EINVAL when the text cannot be read (at least one error is added), else 0
 * and a tree; errors that leave a tree worth checking further (a key that stands twice) are added
 * too, so a caller looks at config_problems_errors() in the end. An empty document is an empty
 * mapping. `file` is copied. `text` need not be terminated.
 */
int config_tree_parse(const char *text, size_t length, const char *file,
                      struct config_tree **ret_tree, struct config_problems *problems);
/* Nodes of all files that this process has read: what the work of reading is counted in. Any thread. */
unsigned long config_nodes_made(void);
struct config_tree *config_tree_free(struct config_tree *tree);
const struct config_node *config_tree_root(const struct config_tree *tree);

/* The value of `key` in a mapping; NULL when absent or when `node` is NULL or no mapping. */
const struct config_node *config_node_get(const struct config_node *node, const char *key);
/* Where it stands, for messages. */
unsigned config_node_line(const struct config_node *node);
const char *config_node_file(const struct config_node *node);
/* A plain `~`, `null` or nothing at all: counts as "left out". */
bool config_node_is_null(const struct config_node *node);
/* "a value", "a list", "a mapping", for messages. */
const char *config_node_type_name(enum config_node_type type);
