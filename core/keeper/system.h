/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the configuration asks of the system: open files, the listen backlog, socket buffers. The
 * kernel does not refuse too high a number, it quietly gives less; so these look, and say which
 * setting stands in the way.
 */
#pragma once

#include "config/model.h"

#define SYSTEM_FDS_FOR_OTHER_USES 192 /* listeners, link queue, memory, standard descriptors */

/* Open files that the keeper, and each worker, needs for all connections. */
uint64_t system_files_needed(const struct config *config);
/* Raises our limit of open files as far as it is needed and we may; returns what it is then. */
uint64_t system_raise_files(const struct config *config);
/* Adds a warning for each setting of the system that is lower than what the configuration needs. */
void system_check(const struct config *config, struct config_problems *problems);
