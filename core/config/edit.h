/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes in the text of a configuration that leave every other byte, comments too, as it is. What is
 * written in a way that is not understood (a block scalar, a plain one over several lines) is refused, not
 * guessed at; the caller looks at the result as at any configuration.
 */
#pragma once

#include <stddef.h>

#define CONFIG_EDIT_DEPTH 8

/*
 * Gives the value at `path` (keys from the top, ended by NULL; targets and LUNs in whatever form the file
 * names them) the text `value`, a scalar or flow collection in YAML; what is missing on the way is made.
 * NULL: the entry is removed. 0 and *ret_text (*ret_length bytes, g_free()); -ENOENT when there is nothing to
 * remove; -EINVAL when the text is no YAML or not one that is understood. Any thread.
 */
int config_edit(const char *text, size_t length, const char *const *path, const char *value,
                char **ret_text, size_t *ret_length);
