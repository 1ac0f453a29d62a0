/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenMetrics text (openmetrics.io, version 1.0.0): families in a row, their samples together, `# EOF`
 * at the end. Labels are made once and used for many samples.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "reactor/histogram.h"

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* "gauge", "counter", "histogram", "info"; `unit` may be NULL, else the name ends with it. */
void metrics_family(GString *out, const char *name, const char *type, const char *unit,
                    const char *help);
/* `target="...",lun="0"` of pairs of name and value that end with NULL; g_free(). */
char *metrics_labels(const char *name, ...) G_GNUC_NULL_TERMINATED;
/* `suffix`: "", "_total" of counters, "_info". `labels` may be NULL. */
void metrics_number(GString *out, const char *name, const char *suffix, const char *labels,
                    uint64_t number);
void metrics_real(GString *out, const char *name, const char *suffix, const char *labels,
                  double number);
/*
 * When a counter or histogram that begins anew with each worker began (seconds of the calendar): after its
 * other samples of these labels. A reader knows by it that a smaller number is a new beginning.
 */
void metrics_created(GString *out, const char *name, const char *labels, double since);
/* All samples of a histogram, in seconds. */
void metrics_histogram(GString *out, const char *name, const char *labels,
                       const struct histogram *h);
/* Families of one sample without labels. */
void metrics_counter(GString *out, const char *name, const char *help, uint64_t number);
/* One that began then. */
void metrics_counter_since(GString *out, const char *name, const char *help, uint64_t number,
                           double since);
void metrics_gauge(GString *out, const char *name, const char *help, uint64_t number);
void metrics_end(GString *out);
