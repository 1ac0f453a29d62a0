/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker's parts, shared by the daemon_*.c files. Control thread. */
#pragma once

#include <glib.h>
#include <pthread.h>

#include "config/model.h"
#include "control/control.h"
#include "daemon.h"
#include "handover/thaw.h"
#include "iscsi/acceptor.h"
#include "iscsi/engine.h"
#include "keeper/link.h"
#include "plugin/authenticator.h"
#include "plugin/storage.h"
#include "reactor/bufpool.h"
#include "reactor/pool.h"
#include "scsi/services.h"
#include "scsi/target.h"

struct daemon;

/* A message to the control thread; run() owns it. */
struct daemon_note {
    struct list link;
    void (*run)(struct daemon *d, struct daemon_note *note);
};

struct daemon_lun {
    struct daemon *daemon;
    const struct config_lun *config;
    struct backend *backend;
    struct scsi_unit *unit;
};

struct daemon_target {
    const struct config_target *config;
    struct scsi_target *scsi;
    struct daemon_lun *luns;
    const struct catalog_portal **portals;
};

struct daemon {
    const struct daemon_args *args;
    struct link link;
    struct config *config;
    GMainLoop *loop;
    guint link_watch;
    struct list notes;                 /* for this thread, from others */
    pthread_mutex_t notes_lock;
    int notes_fd;
    int exit_code;
    bool go;                           /* storage may be opened */
    bool stopping;                     /* the keeper has said STOP */
    struct resize *resize;             /* daemon_resize.c: under way, or NULL */
    struct control *control;           /* NULL: there is no control socket */
    bool crashed;                      /* the last worker died by a fault of its own */
    unsigned failures;                 /* deaths in a row */
    bool resume;                       /* the state memory holds what an earlier worker left */
    GArray *held;                      /* struct thaw_socket: connections of earlier workers */
    struct control_take_over taken_over;

    unsigned data_count;               /* data reactors: 0 .. data_count - 1; then the login reactor */
    struct reactor **reactors;         /* data_count + 1 */
    struct bufpool **pools;
    struct engine *engines;
    struct engine **engine_list;       /* as struct engine *const *all */
    struct pool *pool;
    struct storage_services storage;
    struct scsi_services scsi;
    struct authenticator_services auth_services;

    struct daemon_target *targets;     /* as config->targets */
    struct iscsi_authenticator **auths; /* as config->auths */
    struct catalog catalog;
    struct daemon_freeze *freeze;      /* under way */
    struct registry *registry;
    struct acceptor *acceptor;
};

/* daemon.c: to the keeper. */
void daemon_tell(struct daemon *d, const struct link_message *m);

/* daemon_freeze.c */
void daemon_freeze(struct daemon *d, uint32_t deadline_ms);

/* daemon_notes.c */
int daemon_notes_init(struct daemon *d);
void daemon_notes_deinit(struct daemon *d);
/* Any thread. */
void daemon_note(struct daemon *d, struct daemon_note *note);
/* Runs what is there now. */
void daemon_notes_run(struct daemon *d);

/* daemon_engine.c: arenas, reactors, engines. 0 or -1 after a line in the log. */
int daemon_engine_create(struct daemon *d);
/* Says which workers can go on with which state memory. */
uint64_t daemon_engine_layout(const struct daemon *d);
/* After GO: the state memory is ours, either with what is in it (d->resume) or empty. */
void daemon_engine_begin(struct daemon *d);
int daemon_engine_start(struct daemon *d);
void daemon_engine_stop(struct daemon *d);
void daemon_engine_free(struct daemon *d);

/* daemon.c: sends it to the keeper, or queues it. */
void daemon_tell(struct daemon *d, const struct link_message *m);

/* daemon_resize.c: the keeper's answer to AMEND; then as control_services.resize. */
void daemon_resize_amended(struct daemon *d, int error);
void daemon_resize(void *user, unsigned target, unsigned lun, uint64_t bytes,
                   void (*done)(void *data, const char *why, const struct config_node *stale),
                   void *data);

/* daemon_targets.c: LUNs, units, targets, catalog. 0 or -1 after lines in the log. */
int daemon_targets_open(struct daemon *d);
int daemon_catalog_create(struct daemon *d);
/* Looks for I/Os that are never answered. */
void daemon_targets_watch(struct daemon *d);
/* Flushes and closes the LUNs; the reactors still run. False: one did not end in time. */
bool daemon_targets_close(struct daemon *d);
/* For an upgrade: closes what another process cannot have open as well. */
bool daemon_targets_release(struct daemon *d);
void daemon_targets_free(struct daemon *d);
