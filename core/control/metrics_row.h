/* SPDX-License-Identifier: BSD-3-Clause */
/* A family of metrics as a row of a table: each of its samples is a number in a struct. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/openmetrics.h"

struct row {
    const char *name, *unit, *help;
    bool counter;
    size_t offset; /* of a uint64_t in the struct that the table is about */
};

static inline uint64_t number_at(const void *from, size_t offset)
{
    return *(const uint64_t *)((const char *)from + offset);
}

static inline const char *type_of(bool counter)
{
    return counter ? "counter" : "gauge";
}

static inline const char *suffix_of(bool counter)
{
    return counter ? "_total" : "";
}
