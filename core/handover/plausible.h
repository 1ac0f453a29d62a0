/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker never writes into its records. Memory that something else has written into must cost its own
 * session and no more: a record that is not plausible is not resumed. Numbers that can be right and are not
 * are not found here.
 */
#pragma once

#include <stdbool.h>

#include "iscsi/state.h"

bool plausible_params(const struct iscsi_params *params);
/* A task that goes on, with the copy of its transfer that counts (NULL: none yet). */
bool plausible_task(const struct task_record *record, const struct state_transfer *transfer,
                    const struct iscsi_params *params);
