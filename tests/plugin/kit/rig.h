/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bench for plugins: reactors, a pool and memfds of its own, LUNs opened through the daemon's own
 * loader and bridge, and I/O as plain calls that wait. Used by the conformance kit and the unit tests.
 */
#pragma once

#include <stdbool.h>

#include "plugin/loader.h"
#include "plugin/storage.h"
#include "reactor/reactor.h"

#define RIG_REACTORS 2

struct rig {
    struct reactor *reactors[RIG_REACTORS];
    struct pool *pool;
    struct storage_services services;
    struct backend_info changed; /* the last announcement of a handler */
    _Atomic unsigned change_count;
};

/* Who is told what was waited for in vain (does not return). NULL: the test fails. */
extern void (*rig_stuck)(const char *what);

void rig_init(struct rig *rig, unsigned pool_threads);
void rig_deinit(struct rig *rig);

/* How to open: "key=value" each, NULL at the end. */
struct rig_lun {
    const struct plugin *plugin;
    const char *const *options;
    unsigned block_bytes; /* 0: as the handler says */
    bool read_only;
};

/* 0, or negative errno and a line in `error`; problems of options are its text. */
int rig_open(struct rig *rig, const struct rig_lun *lun, struct backend **ret_backend,
             struct hf_error *error);
/* The options as the plugin gets them; plugin_config_free(). */
int rig_config(const struct rig_lun *lun, struct plugin_config **ret_config,
               struct hf_error *error);
/* Judges the options as --check does, and opens nothing. */
int rig_judge(const struct rig_lun *lun, struct hf_error *error);
/* Memory of LUNs for two processes: share before fork(), in the parent take what the child has made
   while the child still lives. */
void rig_share_memfds(void);
void rig_take_memfds(void);
/* New options for an open LUN. */
int rig_update(struct rig *rig, struct backend *backend, const struct rig_lun *lun,
               struct hf_error *error);
/* Fails the test when it takes longer than ten seconds. */
void rig_close(struct rig *rig, struct backend *backend);

/* Runs on a reactor; waits for its return. */
void rig_run(struct rig *rig, unsigned reactor, void (*function)(void *argument), void *argument);

/* One I/O on a reactor; waits for the answer (ten seconds); io->done is set here. */
int rig_io(struct rig *rig, unsigned reactor, struct backend *backend, struct backend_io *io);
int rig_read(struct rig *rig, struct backend *backend, uint64_t offset, void *data, size_t bytes);
int rig_write(struct rig *rig, struct backend *backend, uint64_t offset, const void *data,
              size_t bytes, unsigned flags);
/* What the handler says of its room; waits. 0 or negative errno. */
int rig_space(struct rig *rig, struct backend *backend, struct storage_space *ret_space);
/* FLUSH, UNMAP, WRITE_ZEROES. */
int rig_do(struct rig *rig, struct backend *backend, enum backend_op op, uint64_t offset,
           uint64_t bytes, unsigned flags);
