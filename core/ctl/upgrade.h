/* SPDX-License-Identifier: BSD-3-Clause */
/* holdfastctl upgrade: begins it and waits for its end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ctl/rpc.h"

/*
 * `binary` is a path or NULL. `worker_only`: the keeper stays what it is. Progress and outcome go to
 * standard output, with `json` the outcome alone. RPC_DONE: the new binary serves, and the keeper is that,
 * too; else *ret_why says what is the matter (g_free()).
 */
/* For one that has begun already: that of a reload. Progress goes to standard output; with `json`, nothing. */
enum rpc_outcome upgrade_wait(const struct rpc *rpc, uint64_t number, bool json, char **ret_why);
enum rpc_outcome upgrade_run(const struct rpc *rpc, const char *binary, bool worker_only, bool json,
                             char **ret_why);
