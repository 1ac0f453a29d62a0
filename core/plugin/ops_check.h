/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a plugin's table of operations holds the rules of its header; 0 or -EINVAL and a line. */
#pragma once

#include <stdbool.h>

#include "plugin/loader.h"

int plugin_check_handler(const struct hf_handler_ops *ops, struct hf_error *error);
int plugin_check_auth(const struct hf_auth_ops *ops, struct hf_error *error);
int plugin_check_fence(const struct hf_fence_ops *ops, struct hf_error *error);
/* Lower case, digits and '-', starting with a letter, 1..63 bytes. */
bool plugin_name_is_good(const char *name);
