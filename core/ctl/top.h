/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top: what sessions and disks do, from the differences of two looks. On a terminal a live view,
 * drawn anew every interval; anywhere else (or with a count) one text after the other.
 */
#pragma once

#include "ctl/rpc.h"

struct top_options {
    unsigned interval_ms;
    unsigned count; /* 0: for ever on a terminal, once elsewhere */
    bool json;      /* the daemon's numbers, a line a look */
};

enum rpc_outcome top_run(const struct rpc *rpc, const struct top_options *options, char **ret_why);
