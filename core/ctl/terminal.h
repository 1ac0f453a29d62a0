/* SPDX-License-Identifier: BSD-3-Clause */
/* A terminal to draw on, with ANSI sequences alone, that is left as it was found. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Takes the alternate screen and single keys; false: standard input and output are no terminal. */
bool terminal_begin(void);
/* Gives everything back; also done when a signal ends the program. */
void terminal_end(void);
void terminal_size(unsigned *ret_rows, unsigned *ret_columns);
/* The whole screen: what is not in `text` becomes blank. */
void terminal_draw(const char *text);
/* A key, 0 after `ms` without one, -1 when it is time to go (end of input, or a signal). */
int terminal_key(unsigned ms);
