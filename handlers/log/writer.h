/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that lines are added to without waiting: writer_add() copies into a buffer of a fixed size, a
 * thread of the writer's own moves it to the file. When the file is too slow, lines are lost and counted,
 * never the I/O that they tell of.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct writer;

/* Appends to `path`. `limit` bytes are the most that the file gets from this writer. NULL: errno. */
struct writer *writer_open(const char *path, uint64_t limit);
/* One line with its newline; any thread; takes a lock for the time of a copy. */
void writer_add(struct writer *writer, const char *line, size_t bytes);
/* Writes what is there; waits for the thread. NULL is fine. */
void writer_close(struct writer *writer);
