/* SPDX-License-Identifier: BSD-3-Clause */
/* The way from a reactor's thread back to the control thread; allocates nothing and takes no lock. */
#pragma once

struct control;

/* The control thread's again when run() is called there. */
struct control_note {
    struct control_note *next; /* private */
    void (*run)(struct control_note *note);
};

/* Any thread, until control_free(). */
void control_post(struct control *control, struct control_note *note);
