/* SPDX-License-Identifier: BSD-3-Clause */
/* What two looks come to, as a text for people. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "ctl/top_rates.h"

struct top_picture {
    JsonNode *before, *after;
    enum top_order order;
    bool sessions_first;
    const char *remark; /* behind the time of day; NULL: none */
};

/* `lines` and `columns` of the screen; 0: no limit. */
void top_picture(const struct top_picture *p, GString *out, unsigned lines, unsigned columns);
