/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a keeper knows and the next one has to: a text in a memfd that outlives it, beside the
 * descriptors that it is about. The text is written into one of two halves and counts when the header
 * says so: a keeper that is killed while it writes leaves what it had written before.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct keeper;

struct record {
    int fd;              /* -1: there is none */
    unsigned generation; /* as last written */
    struct record_head *head;
};

/* Read from the record of an earlier keeper. */
struct record_text {
    unsigned generation;           /* of its newest worker */
    uint64_t start_ns;             /* of the service */
    char *config;                  /* checksum of the file that what is kept of it was made from */
    GPtrArray *listeners, *memory; /* by number: addresses, "NUMBER NAME"; NULL in holes */
};

/* A new one when `fd` is -1, else that; takes over fd. 0 or negative errno. */
int record_open(struct record *record, int fd);
void record_close(struct record *record);
/* Writes what holds now. */
void record_write(struct keeper *k);
/* NULL: there is nothing in it that can be used. */
struct record_text *record_read(const struct record *record);
/* The text of number i of one of the arrays, or NULL. */
const char *record_entry(const GPtrArray *array, uint32_t i);
struct record_text *record_text_free(struct record_text *text);
