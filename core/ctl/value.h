/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the daemon's JSON without trusting its form: what is missing or of another type is a default. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL objects are fine everywhere. */
JsonObject *value_object(JsonObject *object, const char *key);
/* NULL, or an array of which value_item() gives the objects. */
JsonArray *value_array(JsonObject *object, const char *key);
unsigned value_count(JsonArray *array);
JsonObject *value_item(JsonArray *array, unsigned i);
/* There is one, and it is not null. */
bool value_has(JsonObject *object, const char *key);
uint64_t value_number(JsonObject *object, const char *key);
double value_real(JsonObject *object, const char *key);
bool value_bool(JsonObject *object, const char *key);
/* "-" when there is none. */
const char *value_text(JsonObject *object, const char *key);
/* The strings of an array, with `between` between them; "-" when there are none. g_free(). */
char *value_join(JsonObject *object, const char *key, const char *between);
