/* SPDX-License-Identifier: BSD-3-Clause */
/* A reservation table as bytes, with a check sum. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "scsi/reservation.h"

#define PR_RECORD_BYTES_MAX (64u + PR_REGISTRATIONS_MAX * (16u + PR_PORT_MAX))

#define PR_EVENTS_BYTES_MAX (32u + PR_EVENTS_MAX * (16u + PR_PORT_MAX))
#define PR_WHOLE_BYTES_MAX  (PR_RECORD_BYTES_MAX + PR_EVENTS_BYTES_MAX)

/* Bytes written. `to` has room for PR_RECORD_BYTES_MAX. Events and serial are not part of it. */
size_t pr_record_write(const struct pr_table *table, uint8_t *to);
/* 0 and the caller's table; -EBADMSG: not a whole record; -ENOTSUP: of a newer version. */
int pr_record_read(const uint8_t *from, size_t bytes, struct pr_table **ret_table);

/*
 * The same with its events, for those who go on where a worker died: nexuses have not heard of all of
 * them. They lie behind the record, so that whoever knows the record alone reads it as before. `to`
 * has room for PR_WHOLE_BYTES_MAX.
 */
size_t pr_whole_write(const struct pr_table *table, uint8_t *to);
/* Events that are not there or not whole are none, with serial 0. */
int pr_whole_read(const uint8_t *from, size_t bytes, struct pr_table **ret_table);

/* The file that keeps it over a power loss (APTPL); may block, as state_file.h says. */
int pr_file_save(const char *path, const struct pr_table *table);
/* 0, or -ENOENT, or as pr_record_read(). */
int pr_file_load(const char *path, struct pr_table **ret_table);
