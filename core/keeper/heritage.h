/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a keeper leaves to the one that it becomes by execve(2), same process, another binary: a text in a
 * memfd, and the descriptors that it names, which stay open under their numbers. A line a fact, as in
 * record.h; what a binary does not know it skips, what it misses has its default, so that older and newer
 * ones can follow each other.
 *
 * The names of most descriptors are those of the service manager's store (store.h), and they are taken in
 * the same way (inherit.h). The environment says where the text is, and for which process.
 */
#pragma once

#include "keeper/inherit.h"
#include "keeper/link.h"

#include <glib.h>
#include <sys/types.h>

struct keeper;

struct heritage {
    int fd;                  /* of the text */
    GArray *fds;             /* struct heritage_fd: all that the text names */
    int text_fd;             /* the configuration file as it was last read or written */
    int exe_fd, previous_fd; /* binaries of the worker, and of the one before; -1: none */
    int lock_fd;             /* state_lock.h; -1: none */
    int before_fd;  /* the binary of the keeper that wrote this: there is a way back to it */
    char *exe_path; /* what lies on disk under our name */
    struct {
        pid_t pid; /* 0: there is none */
        unsigned generation;
        int link_fd, pid_fd, tombstone_fd;
        uint64_t started_ns, ready_ns;
    } worker;
    uint64_t layout, upgraded_ns, freeze_ns;
    unsigned failures;
    struct link_status status; /* its counters */
    struct link_upgrade report;
};

struct heritage_fd {
    int fd;
    char *name; /* NULL: only the heritage itself needs it */
};

/* Writes what holds now into a new memfd; every descriptor named in it is the keeper's. 0 or negative errno. */
int heritage_write(const struct keeper *k, int *ret_fd);
/* For execve() of process `pid`: the environment, and descriptors that stay open. 0 or negative errno. */
int heritage_pass_on(const struct heritage *h, pid_t pid);
/* It came to nothing: as before. */
void heritage_keep(const struct heritage *h);

/* The environment names one for this process, and no longer does so; else -1. */
int heritage_announced(void);
/* Takes over fd. NULL: it cannot be used. The descriptors it names are not looked at. */
struct heritage *heritage_read(int fd);
/* What is in it by the names of the store, for the taking. */
void heritage_to_inherit(struct heritage *h, struct inheritance *ret_all);
/* NULL, or what is wrong with the descriptors. */
const char *heritage_check(const struct heritage *h);
/* Frees it; descriptors that nobody has taken stay open. NULL is fine; returns NULL. */
struct heritage *heritage_free(struct heritage *h);
