/* SPDX-License-Identifier: BSD-3-Clause */
/* One request to the daemon and its answer. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>

#define RPC_DEFAULT_SOCKET     "/run/holdfast/control.sock"
#define RPC_DEFAULT_TIMEOUT_MS 30000u

struct rpc {
    const char *socket;
    unsigned timeout_ms;
};

enum rpc_outcome {
    RPC_DONE,        /* *ret_result */
    RPC_REFUSED,     /* the daemon says no */
    RPC_UNREACHABLE, /* there is none, or it does not answer in time */
};

struct rpc_call {
    const char *method;
    const char *params; /* a JSON object; NULL: none */
    bool repeatable;    /* asked again when the worker dies under it */
    const char *file;   /* sent along, open; NULL: none */
};

/*
 * `ret_result` is the caller's (json_node_unref()) after RPC_DONE; else *ret_why is a line for people
 * (g_free()). While a worker is being replaced the request waits, up to the timeout.
 */
enum rpc_outcome rpc_call(const struct rpc *rpc, const struct rpc_call *call, JsonNode **ret_result,
                          char **ret_why);
