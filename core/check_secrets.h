/* SPDX-License-Identifier: BSD-3-Clause */
/* Warns of secrets of an auth plugin that are shorter than the standard wants them. */
#pragma once

#include "plugin/options.h"

/* `config` was made from `options`. */
void check_secrets(const struct plugin *plugin, const struct plugin_config *config,
                   const struct config_node *options, struct config_problems *problems);
