/* SPDX-License-Identifier: BSD-3-Clause */
/* Results for people. Each appends text to `out`. */
#pragma once

#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>

void show_status(JsonNode *result, GString *out);
void show_targets(JsonNode *result, GString *out);
void show_sessions(JsonNode *result, GString *out);
/* Of the same answer: advice.c */
void show_advice(JsonNode *result, GString *out);
void show_luns(JsonNode *result, GString *out);
void show_portals(JsonNode *result, GString *out);
void show_metrics(JsonNode *result, GString *out);
void show_drop(JsonNode *result, GString *out);
void show_resize(JsonNode *result, GString *out);
void show_log_level(JsonNode *result, GString *out);
void show_fence(JsonNode *result, GString *out);
/* progress.c */
void show_progress(JsonNode *result, GString *out);
/* show_plan.c */
void show_plan(JsonNode *result, GString *out);
unsigned plan_steps(JsonNode *result);
/* The upgrade that carries it out; 0: none. */
uint64_t plan_upgrade(JsonNode *result);
