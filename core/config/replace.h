/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another text for a configuration file, in one step: the file has the old text or the new one, also
 * after a power cut. A file that others have changed meanwhile, or that is a link or not ours to write, is
 * somebody else's: it is refused.
 */
#pragma once

#include <stddef.h>

struct config_replacement;

/*
 * Writes `text` beside `path`, which must still hold `expected`. NULL and *ret_replacement; or why not, for
 * people (g_free()). May wait for the file system.
 */
char *config_replace_prepare(const char *path, const char *expected, size_t expected_length,
                             const char *text, size_t length,
                             struct config_replacement **ret_replacement);
/*
 * It takes the place of the file; NULL in *replacement is fine and afterwards. 0 or negative errno: -EBUSY: the
 * file has changed since it was looked at, and stays.
 */
int config_replace_commit(struct config_replacement **replacement);
/* The file stays as it is. NULL is fine. */
void config_replace_abandon(struct config_replacement *replacement);
