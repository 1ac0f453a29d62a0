/* SPDX-License-Identifier: BSD-3-Clause */
/* What --list-plugins and --describe print, made from the plugins' own tables. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "plugin/error.h"

/*
 * One line a plugin file of `paths` (ends with NULL; may be NULL) and the built-in directory: kind,
 * name, version, summary, file; a file that cannot be used has its line with the cause. A file that
 * an earlier directory hides is left out. 0, -EINVAL when a file was unusable, or -ENOENT when there are
 * none, which `errors` is told with the directories.
 */
int plugin_list(const char *const *paths, FILE *to, FILE *errors);
/*
 * All about one plugin: `name` is a name ("file", "chap", "auth-chap") or a path of a file. Names of
 * several kinds are all described. 0, or negative errno with the reason printed to `errors`.
 */
int plugin_describe(const char *const *paths, const char *name, FILE *to, FILE *errors);
/* The known name of that kind most like `name` (g_free()), or NULL. For messages. */
char *plugin_nearest(const char *const *paths, uint32_t kind, const char *name);
