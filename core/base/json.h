/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON text (RFC 8259): a writer that needs no tree, and a look at a text of unknown origin before a
 * parser gets it. Any thread; a writer belongs to one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
    GString *out; /* the caller's */
    bool comma;   /* the next element needs one before it */
};

/* `key` is NULL in arrays and for the outermost value. `bracket` is '{' or '['. */
void json_put_open(struct json_writer *w, const char *key, char bracket);
/* The closing one: '}' or ']'. */
void json_put_close(struct json_writer *w, char bracket);
/* NULL becomes null. What is not UTF-8 becomes U+FFFD. */
void json_put_string(struct json_writer *w, const char *key, const char *text);
void json_put_u64(struct json_writer *w, const char *key, uint64_t number);
/* What is not finite becomes null. */
void json_put_double(struct json_writer *w, const char *key, double number);
void json_put_bool(struct json_writer *w, const char *key, bool value);
/* `text` is JSON already. */
void json_put_raw(struct json_writer *w, const char *key, const char *text);

/*
 * Whether the text can be given to a recursive parser: it is UTF-8 without NUL, one object or array
 * from its first bracket to its last, nested `depth_max` deep at most, with nothing but space around
 * it. It need not be JSON yet.
 */
bool json_text_is_sane(const char *text, size_t bytes, unsigned depth_max);
