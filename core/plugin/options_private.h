/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the option code. */
#pragma once

#include <stddef.h>

#include "plugin/options.h"

#define OPTIONS_STRUCT_MAX (64u << 10)
#define OPTIONS_SECRET_MAX 4096u

/* Bytes of the field of a known type, and of one item of a checked LIST row. */
size_t options_field_bytes(uint32_t type);
size_t options_item_bytes(const struct hf_option *row);
/* The type of a row's values: its item type for a LIST. */
uint32_t options_value_type(const struct hf_option *row);
/* What is wrong with the default of a scalar row; g_free(); NULL: nothing. */
char *options_default_problem(const struct hf_option *row);

/* A value of HF_OPTION_HANDLER; freed with the configuration that it stands in. */
struct hf_lower_config {
    const struct plugin *plugin;
    struct plugin_config *config; /* NULL: it could not be read */
    struct hf_lower_config *next;
};
struct hf_lower_config *options_add_lower(struct plugin_config *config);
int options_read_lower(struct plugin_config *config, const struct config_node *node,
                       const char *key, const struct hf_lower_config **ret_lower,
                       struct config_problems *problems);
/* One more owner: plugin_config_free() as often. */
struct plugin_config *options_ref(struct plugin_config *config);

/* Memory of a configuration: zeroed, freed and wiped with it. */
void *options_alloc(struct plugin_config *config, size_t bytes);
/* Fills a secret from a file; adds a problem at `node` and returns negative errno on failure. */
int options_read_secret_file(struct plugin_config *config, const struct config_node *node,
                             const char *key, struct hf_secret *ret_secret,
                             struct config_problems *problems);
int options_take_secret(struct plugin_config *config, const void *data, size_t bytes,
                        struct hf_secret *ret_secret);
/* The table that a configuration was made by. */
const struct hf_option *options_rows(const struct plugin_config *config);
