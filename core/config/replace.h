/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another text for a configuration file, in one step: the file has the old text or the new one, also
 * after a power cut. A file that others have changed meanwhile, or that is a link or not ours to write, is
 * somebody else's: it is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct config_replacement;

/*
 * The file as it was when its text was known: what then looks the same to the last nanosecond is not read again.
 * Zeroed: not known.
 */
struct config_seen {
    bool known;
    struct stat st;
};

/*
 * Writes the pieces beside `path`, which must still hold `expected`. NULL and *ret_replacement; or why not, for
 * people (g_free()). May wait for the file system.
 */
char *config_replace_prepare(const char *path, const struct config_seen *seen, const char *expected,
                             size_t expected_length, const struct iovec *pieces, unsigned count,
                             struct config_replacement **ret_replacement);
/*
 * It takes the place of the file; NULL in *replacement is fine and afterwards. `seen` becomes that of the new text.
 * 0 or negative errno: -EBUSY: the file has changed since it was looked at, and stays.
 */
int config_replace_commit(struct config_replacement **replacement, struct config_seen *seen);
/* The file stays as it is. NULL is fine. */
void config_replace_abandon(struct config_replacement *replacement);
