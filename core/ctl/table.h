/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table for people: a line of headings, columns as wide as their contents, two spaces between them.
 * Bytes that would move the cursor of a terminal are shown as `?`.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

struct table;

/* Headings, ended by NULL; one that begins with '>' stands, with its column, on the right. */
struct table *table_new(const char *const *headings);
struct table *table_free(struct table *table);
/* The next cell, in rows from left to right. `text` is copied. */
void table_text(struct table *table, const char *text);
/* The same; takes over and frees. */
void table_take(struct table *table, char *text);
G_GNUC_PRINTF(2, 3) void table_print(struct table *table, const char *format, ...);
unsigned table_rows(const struct table *table);
/* At most `rows_max` rows, no line wider than `columns_max`; 0: all. Long texts lose their beginning first, then lines their end. No spaces at the end of lines. */
void table_write(const struct table *table, GString *out, unsigned rows_max, unsigned columns_max);
