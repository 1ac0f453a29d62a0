/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options of a plugin: from a node of the configuration, by the plugin's option table, into the
 * struct that its functions get. Every mistake is one problem with its place in the file.
 */
#pragma once

#include "config/yaml.h"
#include "plugin/error.h"
#include "plugin/loader.h"

struct plugin_config;

/*
 * `options` is the mapping (NULL or empty: only defaults); `at` is where to report what is missing
 * when there is none (the node that names the plugin; may be NULL). Secret files are read here, and
 * the plugin's validate() is asked in the end. 0 and *ret_config; -EINVAL with at least one problem
 * added, else. May read files; any thread.
 */
int plugin_config_new(const struct plugin *plugin, const struct config_node *options,
                      const struct config_node *at, struct plugin_config **ret_config,
                      struct config_problems *problems);
/* Wipes secrets; NULL is fine; returns NULL. The plugin must not use it any more. */
struct plugin_config *plugin_config_free(struct plugin_config *config);
/* The plugin's struct; NULL for a plugin without options. Constant until plugin_config_free(). */
const void *plugin_config_data(const struct plugin_config *config);
/*
 * What the way from one to the other asks of a LUN: -1 they are equal, else the greatest
 * HF_CHANGE_* of the options that differ. Both of the same plugin.
 */
int plugin_config_compare(const struct plugin_config *a, const struct plugin_config *b);
/* Whether a row of the table names the file or device that is the disk; not of a handler that wraps one. */
bool plugin_option_is_disk(const struct hf_option *table, const struct hf_option *row);
/* Calls `each` for the row of every option that differs, in the table's order. */
void plugin_config_differences(const struct plugin_config *a, const struct plugin_config *b,
                               void (*each)(void *user, const struct hf_option *row), void *user);

/*
 * For the loader: copies a table (rows of the plugin's own size) and what is below it, checking every
 * row. 0 and *ret_table (plugin_options_free(); NULL when there are no rows), or -EINVAL and a line.
 */
int plugin_options_copy(const struct hf_option *table, uint64_t config_bytes,
                        struct hf_option **ret_table, struct hf_error *error);
struct hf_option *plugin_options_free(struct hf_option *table);
/* "string", "list of path", ... ; a constant string. */
const char *plugin_option_type_name(uint32_t type);
