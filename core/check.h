/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading and checking the configuration file, for the keeper (structure only, it loads no plugin)
 * and for `holdfastd --check` (with the plugins' own options).
 */
#pragma once

#include "config/model.h"

#include <stddef.h>

struct config_file {
    char *text; /* as read; what the worker will get */
    size_t bytes;
    struct config *config;
};

/*
 * Reads and parses `path`. 0; or -EINVAL with at least one problem added (a file that cannot be read
 * is one, too): then ret_file->config is what could be read, for check_plugins() alone, or NULL.
 * config_file_free() in any case.
 */
int config_file_load(const char *path, struct config_file *ret_file,
                     struct config_problems *problems);
void config_file_free(struct config_file *file);
/*
 * Loads every plugin that the configuration names into this process and lets it judge its options.
 * 0, or -EINVAL with problems added.
 */
int check_plugins(const struct config *config, struct config_problems *problems);
