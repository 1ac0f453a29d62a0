/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes on in the daemon by itself: shown once, or waited for. */
#pragma once

#include <stdbool.h>

#include "ctl/rpc.h"

/*
 * Waits until initiators have left what a change has taken away (or until it is taken from them). How many are left is
 * told on the terminal that standard output is, if it is one and `json` is not set. *ret_why: g_free().
 */
enum rpc_outcome progress_wait(const struct rpc *rpc, bool json, char **ret_why);
