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
#define TERMINAL_OVER (-1)
/*
 * A key; 0 after `ms` without one, or earlier when the picture has to be drawn anew; TERMINAL_OVER when it is
 * time to go (the terminal has gone, or a signal). Stopping (^Z) and going on is done within.
 */
int terminal_key(unsigned ms);
