/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reservation table as bytes, with a check sum, and the file that keeps it over a power loss
 * (APTPL). The file is replaced as a whole: written beside, fsync, rename, fsync of the directory;
 * a crash at any point leaves the old one or the new one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "scsi/reservation.h"

#define PR_RECORD_BYTES_MAX (64u + PR_REGISTRATIONS_MAX * (16u + PR_PORT_MAX))

/* Bytes written. `to` has room for PR_RECORD_BYTES_MAX. Events are not part of it. */
size_t pr_record_write(const struct pr_table *table, uint8_t *to);
/* 0 and the caller's table; -EBADMSG: not a whole record; -ENOTSUP: of a newer version. */
int pr_record_read(const uint8_t *from, size_t bytes, struct pr_table **ret_table);

/* The file of a unit: "<state directory>/reservations/<target>,<lun>". NULL without memory. */
char *pr_file_path(const char *state_directory, const char *target, unsigned lun);
/* 0 when there is a directory that can be written to; it is made when it is missing. */
int pr_file_prepare(const char *path);
/* On stable storage when it returns 0; negative errno: the old one is still there. May block. */
int pr_file_save(const char *path, const struct pr_table *table);
/* As pr_file_save(): gone for good. Not there is 0. */
int pr_file_remove(const char *path);
/* 0, or -ENOENT, or as pr_record_read(). */
int pr_file_load(const char *path, struct pr_table **ret_table);
