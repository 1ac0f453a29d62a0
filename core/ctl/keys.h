/* SPDX-License-Identifier: BSD-3-Clause */
/* KEY=VALUE words of `target set` and `lun set`. */
#pragma once

#include "base/json.h"

/*
 * As the object `keys` of the request. `lun`: what is no key of a LUN is an option of its handler. An empty
 * value takes the key away; lists are separated by commas, or written as YAML
 * does ([{a: b}]), as are mappings. NULL, or what is wrong with a word; g_free().
 */
char *keys_put(struct json_writer *w, bool lun, char **words, int count);
