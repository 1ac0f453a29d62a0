/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a configuration file. */
#pragma once

#include <stddef.h>

/*
 * Reads a regular file (or a pipe) to its end, from where the descriptor stands. 0 and *ret_text
 * (g_free(); never NULL), or negative errno. Not more than one byte beyond CONFIG_TEXT_MAX, so that
 * the parser sees that it is too long. May wait for the file system.
 */
int config_file_read_fd(int fd, char **ret_text, size_t *ret_length);
int config_file_read(const char *path, char **ret_text, size_t *ret_length);
