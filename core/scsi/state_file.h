/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files in the state directory, one for each unit and purpose. A file is replaced as a whole:
 * written beside, fsync, rename, fsync of the directory; a crash at any point leaves the old one or
 * the new one. All of it may block.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "<state directory>/<purpose>/<target>,<lun>"; g_free(). */
char *state_file_path(const char *state_directory, const char *purpose, const char *target,
                      unsigned lun);
/* 0 when there is a directory that can be written to; it is made when it is missing. */
int state_file_prepare(const char *path);
/* On stable storage when it returns 0; negative errno: the old one is still there. */
int state_file_save(const char *path, const uint8_t *data, size_t bytes);
/* As that, but for the death of the process alone: whoever opens it next finds the old one or the new
   one, unless the machine has gone meanwhile. */
int state_file_save_quick(const char *path, const uint8_t *data, size_t bytes);
/* Gone for good when it returns 0; not being there is 0. */
int state_file_remove(const char *path);
/* Bytes read, at most `most`; -ENOENT or another negative errno. */
int state_file_load(const char *path, uint8_t *data, size_t most);

/*
 * While many units are made, one after the other: from begin to end each directory is made and listed once
 * and a file that is not in the list is not looked for. What is saved meanwhile is found. Calls may come
 * from any thread; begin and end from one, which makes the units.
 */
void state_file_many_begin(void);
void state_file_many_end(void);
