/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many small pieces of memory that are freed together: nodes of a file, values of the model. They are cut
 * from large blocks, so a file of a hundred thousand values does not cost as many allocations.
 */
#pragma once

#include <stddef.h>

struct config_chunks;

struct config_chunks *config_chunks_new(void);
/* NULL is fine; returns NULL. */
struct config_chunks *config_chunks_free(struct config_chunks *chunks);
/* Zeroed, for any type; never NULL, not for 0 bytes either. */
void *config_chunks_alloc(struct config_chunks *chunks, size_t bytes);
/* A copy of `length` bytes and a NUL. */
char *config_chunks_text(struct config_chunks *chunks, const char *text, size_t length);
