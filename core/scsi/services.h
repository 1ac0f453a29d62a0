/* SPDX-License-Identifier: BSD-3-Clause */
/* What units need from the worker around them; constant but for `stopping`, outlives every unit. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct keep_area;
struct pool;
struct reactor;

struct scsi_services {
    struct reactor *const *reactors; /* the data reactors, by lane */
    struct pool *pool;               /* for files; NULL: written on the spot (tests) */
    const char *state_directory;     /* NULL: there is none */
    struct keep_area *area;          /* keep.h; NULL: nothing outlives the process */
    /* An orderly stop: sessions end, but what a nexus holds as long as it lives is kept for its return. */
    _Atomic bool stopping;
    void *user;
    /*
     * A memfd that outlives the worker, by name. 0, *ret_fd (the caller's) and *ret_existed; or
     * negative errno. Control thread. NULL: there are none.
     */
    int (*memfd_get)(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed);
    /* What a unit keeps over a stop has changed (stopped.h). Any thread; NULL: nobody wants to know. */
    void (*kept_changed)(void *user);
    /*
     * Whether an answer of this reactor's is yet to be sent, or to be sent to its end, from the store of
     * that arena. On a data reactor. NULL: none ever is.
     */
    bool (*sends_store)(void *user, uint32_t arena);
};
