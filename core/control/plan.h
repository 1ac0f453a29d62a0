/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan as an answer. */
#pragma once

#include "control/server.h"
#include "reload/plan.h"

/* As a JSON object; with the sessions that its steps touch when there is a snapshot. */
void plan_put(struct json_writer *w, const struct plan *plan, const struct snapshot *snapshot);
