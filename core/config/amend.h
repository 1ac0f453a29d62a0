/* SPDX-License-Identifier: BSD-3-Clause */
/* Changing one value in the text of a configuration; every other byte stays as it is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Gives the `size` in the options of a LUN another value. 0 and *ret_text (*ret_length bytes, g_free());
 * -ENOENT when the file says no size there, or has no such LUN; -EINVAL when the text is no
 * configuration, before or afterwards, or the value is written in a way that is not replaced. Any thread.
 */
int config_amend_size(const char *text, size_t length, const char *target, unsigned lun,
                      uint64_t bytes, char **ret_text, size_t *ret_length);
