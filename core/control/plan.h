/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan as an answer. */
#pragma once

#include "control/server.h"
#include "reload/plan.h"

/* The parameters `force` and `drain`. 0 or call_fail(). */
int control_reload_how(struct call *call, struct control_reload *ret_how);
/* edit.c: a descriptor from which this text can be read; -1: no memory. */
int control_text_fd(const char *text, size_t length);
/* As a JSON object; with the sessions that its steps touch when there is a snapshot. */
void plan_put(struct json_writer *w, const struct plan *plan, const struct snapshot *snapshot,
              unsigned upgrade);
