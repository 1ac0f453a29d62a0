/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker's parts, shared by the daemon_*.c files. Control thread. */
#pragma once

#include <glib.h>
#include <pthread.h>

#include "config/revise.h"
#include "control/control.h"
#include "control/control.h"
#include "daemon.h"
#include "handover/image_format.h"
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
    struct daemon_target *target;
    const struct config_lun *config;
    struct backend *backend;
    struct scsi_unit *unit;
    struct daemon_question *question; /* daemon_space.c: under way, or NULL */
    bool space_failed;                /* the last one */
    bool kept_known, kept_failed;     /* daemon_kept.c: its file is that of ... */
    uint64_t kept_version;
    struct daemon_absent *absent;     /* daemon_absent.c; NULL: its storage is open */
    uint64_t resized; /* bytes, by request, while the configuration says others; 0: it does not */
    uint32_t left_memory; /* daemon_retire.c: the number of what it leaves, + 1; 0: none */
};

struct daemon_target {
    const struct config_target *config;
    struct scsi_target *scsi;
    struct daemon_lun **luns; /* as config->luns */
    unsigned lun_count;
    unsigned refs; /* snapshots that name it, and who serves it or takes it away */
};

/* daemon_catalog.c: a configuration and what logins see of it. */
struct daemon_edition;
struct daemon_entry;
struct daemon_snapshot {
    struct catalog catalog;
    struct daemon *daemon;
    struct daemon_note note;
    struct config *config; /* the edition's */
    struct daemon_edition *edition;
    struct list link; /* of its edition, the oldest first */
    bool unused;      /* nobody has its catalog */
    /* What the one after it has no more: older ones may have it, too. */
    struct daemon_entry *gone;
    struct config_revision *revision;
};

/* Of the control interface: who waits for the end of a reload. */
struct daemon_asker {
    control_reload_fn *done;
    void *data;
    char *target; /* its LUN is to be opened anew, whatever has changed; NULL: none */
    unsigned lun;
    struct config_revision
        *revision; /* daemon_revise.c: one target changes; NULL: the keeper sends a text */
    struct control_reload how; /* ... as it was asked for; its fd is not open any more */
};

struct daemon {
    const struct daemon_args *args;
    struct link link;
    struct config *config;
    char *text; /* that it was made from */
    size_t text_length;
    char *state_directory; /* of the first configuration: reloads do not change it */
    GMainLoop *loop;
    guint link_watch;
    struct list notes; /* for this thread, from others */
    pthread_mutex_t notes_lock;
    int notes_fd;
    int exit_code;
    bool prepared;              /* all there is before GO */
    bool go;                    /* storage may be opened */
    bool patches;               /* the keeper takes a change of one target as such */
    bool keeps_removed;         /* ... and keeps the memory of removed LUNs by its number */
    bool holds_memory;          /* ... and that of absent ones when it is told their names */
    bool stopping;              /* the keeper has said STOP */
    struct resize *resize;      /* daemon_resize.c: under way, or NULL */
    struct control *control;    /* NULL: there is no control socket */
    bool crashed;               /* the last worker died by a fault of its own */
    unsigned failures;          /* deaths in a row */
    bool after_death;           /* nobody is there who could go on in our place */
    bool opens_aside;           /* daemon_targets.c: a disk that hangs as it is opened is absent, */
    bool met_hang;              /* and there has been one */
    guint absent_timer;         /* daemon_absent.c */
    unsigned absent_trials;
    bool resume;                /* the state memory holds what an earlier worker left */
    int predecessor;            /* memfd: state in the layout of the worker before; or -1 */
    uint64_t *predecessor_head; /* its first page */
    struct image_head predecessor_image; /* what its image says of it */
    GArray *held;                        /* struct thaw_socket: connections of earlier workers */
    struct control_take_over taken_over;

    unsigned data_count;       /* data reactors: 0 .. data_count - 1; then the login reactor */
    struct reactor **reactors; /* data_count + 1 */
    struct bufpool **pools;
    struct engine *engines;
    struct engine **engine_list; /* as struct engine *const *all */
    struct pool *pool;
    struct storage_services storage;
    struct scsi_services scsi;
    struct authenticator_services auth_services;

    struct daemon_target **targets; /* as config->targets */
    unsigned target_count;
    struct daemon_snapshot *snapshot; /* in effect; it has `config` */
    struct daemon_asker asker;
    struct daemon_reload *reload; /* daemon_reload.c: under way, or NULL */
    uint64_t
        open_within_ns; /* commands are held: a disk has to be open in this time; 0: they are not */
    struct list retiring;               /* daemon_retire.c: what is on its way out */
    struct list removed;                /* daemon_removed.c: what was so when an earlier worker went */
    bool again;                         /* while what earlier workers had open is opened */
    uint64_t free_by_ns;                /* what another still has locked at the start is waited for until then; or 0 */
    bool loading;                       /* daemon_targets_open() is at work, and has opened: */
    unsigned opened_luns, open_targets; /* ... the latter to everybody */
    bool unsettled;               /* the configuration's sizes were about to be given to LUNs */
    struct daemon_pulse *pulse;   /* daemon_pulse.c; made when it is first asked */
    struct daemon_freeze *freeze; /* under way */
    struct daemon_freeze *abandoned_freezes;
    unsigned asides_left;       /* daemon_aside.c: threads that nobody waits for any more */
    struct daemon_space *space; /* daemon_space.c; made when it is first used */
    struct daemon_kept *kept;   /* daemon_kept.c */
    struct registry *registry;
    struct acceptor *prepared_acceptor, *acceptor; /* before GO, and after it */
};

/* daemon.c: to the keeper. */
void daemon_tell(struct daemon *d, const struct link_message *m);

/* daemon_freeze.c; `image`: another layout follows. */
void daemon_freeze(struct daemon *d, uint32_t deadline_ms, bool image);
/* The keeper wants it back: nothing, when it goes on already. */
void daemon_freeze_abandon(struct daemon *d);
/* After the reactors have stopped. */
void daemon_freeze_free(struct daemon *d);

/* daemon_image.c: the image of this worker, held still: a sealed memfd or negative errno. */
int daemon_image_export(const struct daemon *d);
/* Before GO: reads that of the old worker. NULL, or why not. */
const char *daemon_image_import(struct daemon *d, int fd);
/* The old worker's memory must not be used any more: before the first byte moves. */
void daemon_image_begin(struct daemon *d);
/* Gives it back. */
void daemon_image_end(struct daemon *d);

/* daemon.c: what the keeper has said. */
void daemon_handle(struct daemon *d, struct link_message *m);

/*
 * daemon_aside.c: work that may take long, on a thread of its own, while the control thread serves
 * everything else. 0 when it is done; -ETIMEDOUT, or -ECANCELED when the worker ends meanwhile: then it
 * goes on, `data` belongs to it, and late(data) comes on the control thread when it has ended, if ever.
 */
struct daemon_work {
    const char *verb, *target; /* "opening a disk": for the log */
    unsigned lun;
    uint64_t deadline_ns; /* 0: none */
    void (*run)(void *data);
    void (*late)(struct daemon *d, void *data);
};
int daemon_aside(struct daemon *d, const struct daemon_work *work, void *data);
/* The same, and nobody waits for it: late() always comes, but when the worker ends before. From the main loop. */
void daemon_aside_begin(struct daemon *d, const struct daemon_work *work, void *data);
/* storage_services.memfd_get: on the control thread, or within such work. */
#define DAEMON_MEMFD_MS 5000
int daemon_memfd_get(struct daemon *d, const char *name, uint64_t bytes, int *ret_fd,
                     bool *ret_existed, uint32_t *ret_number);

/* daemon_crash.c: from now on a crash within a handler says of which LUN; and, before LUNs are opened: what the last
   worker's crash says. */
void daemon_crash_watch(struct daemon *d);
void daemon_crash_blame(struct daemon *d);

/* daemon.c: the keeper is listened to, also from within one of its messages. */
void daemon_watch_link(struct daemon *d);
/* What was set aside while the keeper was asked for memory is looked at soon. */
void daemon_serve_inbox(struct daemon *d);

/* daemon_pulse.c: answers the keeper, when every reactor has gone round. */
void daemon_pulse(struct daemon *d, uint32_t number);

/* daemon_kept.c: before units are made; after the reactors have stopped. */
void daemon_kept_init(struct daemon *d);
void daemon_kept_free(struct daemon *d);
/* scsi_services.kept_changed. */
void daemon_kept_changed(void *user);

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
#define STATE_NAME_MAX 64
void daemon_engine_state_name(const struct daemon *d, char name[static STATE_NAME_MAX]);
/* The pool of a worker's data reactor (or, `index` of->reactors, its login reactor). */
void daemon_engine_pool(const struct daemon *d, const struct image_head *of, unsigned index,
                        char name[static STATE_NAME_MAX], uint64_t *ret_bytes);
struct state_head daemon_engine_head(const struct daemon *d);
/* After GO: the state memory is ours, either with what is in it (d->resume) or empty. */
void daemon_engine_begin(struct daemon *d);
/* Before GO, when the worker before is dead: none of its requests to storage is under way. */
bool daemon_engine_nothing_lasts(const struct daemon *d);
/* Before GO: all that can be done and can fail before the reactors run, which is what daemon_engine_go() makes them. */
int daemon_engine_prepare(struct daemon *d);
void daemon_engine_go(struct daemon *d);
void daemon_engine_stop(struct daemon *d);
void daemon_engine_free(struct daemon *d);

/* daemon.c: sends it to the keeper, or queues it. */
void daemon_tell(struct daemon *d, const struct link_message *m);

/* daemon_resize.c: the size of a LUN for later workers. */
void daemon_amend_size(struct daemon *d, const char *target, unsigned lun, uint64_t bytes);
/* daemon_resize.c: the keeper's answer to AMEND; then as control_services.resize. */
void daemon_resize_amended(struct daemon *d, int error);
void daemon_resize(void *user, unsigned target, unsigned lun, uint64_t bytes,
                   void (*done)(void *data, const char *why, const struct config_node *stale),
                   void *data);

/* daemon_lun.c: those of the configuration, before anything depends on them. NULL, or which is of no use;
   g_free(). */
char *daemon_plugins_load(const struct config *config);
bool daemon_handler_has(const struct plugin *plugin, const char *option);
int daemon_lun_options(const struct plugin *plugin, const struct config_lun *c, bool grown,
                       struct plugin_config **ret_config, struct config_problems *problems);
struct daemon_lun *daemon_lun_new(struct daemon *d, struct daemon_target *t,
                                  const struct config_lun *config);
/* Storage for that part of `whole`, `beside` that which the LUN has now (NULL: it has none); 0, or
   negative errno and a problem; -EBUSY: both cannot be open at a time. May wait. */
int daemon_lun_open(struct daemon *d, const struct config *whole,
                    const struct config_target *target, const struct config_lun *c, bool grown,
                    struct backend *beside, struct backend **ret_backend,
                    struct config_problems *problems);
/* Closes it; 0, or negative errno: it may still end later. May wait. */
int daemon_lun_close(struct daemon *d, struct backend *backend);
/* The same at once, on this thread. */
int daemon_storage_close(struct backend *backend);
/* As storage_update(). */
int daemon_lun_update(struct daemon *d, struct backend *backend, struct plugin_config *config,
                      struct hf_error *error);
/* The unit on l->backend. 0 or negative errno. */
int daemon_lun_unit(struct daemon *d, const struct config_target *target, struct daemon_lun *l,
                    struct scsi_unit *replaces, struct scsi_unit **ret_unit);
/*
 * daemon_absent.c: a LUN that cannot be opened, and has been open in a worker before. before: how it was then; false:
 * nothing is known of it, or it is for the worker before to go on. begin: l->backend stands in for it, for a unit to
 * be made on it. again: the storage of l->unit cannot be opened any more. `why`: for log and status.
 */
struct daemon_before {
    enum keep_absent absent;
    struct backend_info info;
};
bool daemon_absent_before(struct daemon *d, const struct daemon_lun *l, struct daemon_before *ret_before);
void daemon_absent_begin(struct daemon *d, struct daemon_lun *l, const struct daemon_before *before,
                         const char *why);
void daemon_absent_again(struct daemon *d, struct daemon_lun *l, const struct backend_info *was,
                         const char *why);
/* l->unit is made: what there is to know of its storage is kept for later workers. */
void daemon_absent_kept(struct daemon_lun *l);
/* Its storage is another one now. */
void daemon_absent_clear(struct daemon_lun *l);
/* False: it is there. */
bool daemon_absent_is(const struct daemon_lun *l, struct control_absent *ret_absent);
/* A line in the log: it is open, and its unit is made. */
void daemon_lun_tell(const struct daemon_lun *l);
/* Portal group tags of the target's ports and, in this order, their access states. */
unsigned daemon_port_tags(const struct config_target *t, uint16_t tags[static SCSI_PORTS_MAX]);
void daemon_access_states(const struct config_target *t, uint8_t states[static SCSI_PORTS_MAX]);

/*
 * daemon_catalog.c. `config` is taken over with the result. 0, or -1 and problems. Then, when the targets
 * are there (as config->targets), fill; from then on its catalog may be looked at.
 */
int daemon_snapshot_new(struct daemon *d, struct config *config,
                        struct daemon_snapshot **ret_snapshot, struct config_problems *problems);
void daemon_snapshot_fill(struct daemon_snapshot *s, struct daemon_target *const *targets);
/* `user` is the daemon: the options of an entry of its config->auths as they are in effect. */
const struct plugin_config *daemon_auth_in_effect(void *user, const struct config_auth *auth);
/*
 * The one after `before`, the last of its edition: `revision`, which is applied and taken over, has changed one
 * target, which is `t` now (NULL: removed).
 */
struct daemon_snapshot *daemon_snapshot_revise(struct daemon_snapshot *before,
                                               struct config_revision *revision,
                                               struct daemon_target *t);
/* Nobody has its catalog, or ever had. NULL is fine; returns NULL. */
struct daemon_snapshot *daemon_snapshot_free(struct daemon_snapshot *s);

/* daemon_targets.c: LUNs, units, targets. 0 or -1 after lines in the log. */
int daemon_targets_open(struct daemon *d);
/* A target without LUNs, which nobody can see. 0 or negative errno. */
int daemon_target_new(struct daemon *d, const struct config_target *c,
                      struct daemon_target **ret_target);
/* Its LUNs as a map. 0 or negative errno. */
int daemon_target_map(const struct daemon_target *t, struct scsi_lun_map **ret_map);
/* By its normalised name, of those in effect; NULL: there is none. */
struct daemon_target *daemon_target_find(const struct daemon *d, const char *name);
/* The last one frees it: its storage is closed and its units are at rest by then. */
void daemon_target_ref(struct daemon_target *t);
void daemon_target_unref(struct daemon_target *t);
/* Looks for I/Os that are never answered. */
void daemon_targets_watch(struct daemon *d);
/* Flushes and closes the LUNs; the reactors still run. False: one did not end in time. */
bool daemon_targets_close(struct daemon *d);
/* For an upgrade: closes what another process cannot have open as well. */
bool daemon_targets_release(struct daemon *d);
void daemon_targets_free(struct daemon *d);

/*
 * daemon_round.c: `look` on every reactor, one after the other (engine 0 first, the login reactor last), then
 * `done` on the control thread. What was published before it began has then been seen everywhere.
 */
struct daemon_round {
    struct daemon *daemon;
    void (*look)(struct daemon_round *round, struct engine *engine); /* NULL: nothing */
    void (*done)(struct daemon_round *round);
    unsigned at; /* private, as the rest */
    struct reactor_message message;
    struct daemon_note note;
};
void daemon_round(struct daemon *d, struct daemon_round *round);

/* daemon_removed.c: before sessions are taken over: what is still being sent of disks that are not there any more. */
void daemon_removed_find(struct daemon *d);
/* The keeper may let go of all memory of LUNs but that of those that there are, be they open or absent. */
void daemon_removed_settle(struct daemon *d);
/* With the reactors running: until all of that is sent. */
void daemon_removed_watch(struct daemon *d);
/* After the reactors have stopped. */
void daemon_removed_free(struct daemon *d);
/* Nothing is sent any more from the memory of a removed LUN, by its number. */
void daemon_drop_number(struct daemon *d, uint32_t number);
/* daemon_retire.c: what the keeper has for that LUN over workers, by the prefix of its name. */
void daemon_drop_memory(struct daemon *d, const char *prefix, const struct scsi_unit *unit);
/* What there is of that LUN's memory is to be there when it comes back. */
void daemon_hold_memory(struct daemon *d, const struct scsi_unit *unit);

/* daemon_space.c: asks how full storage is, unless a round is under way; `all`: not only where there are
   thresholds. */
void daemon_space_look(struct daemon *d, bool all);
/* The thresholds of the LUN's configuration are those of its unit; settle: of all LUNs, and looks. */
void daemon_space_set(struct scsi_unit *unit, const struct config_lun *c);
void daemon_space_settle(struct daemon *d);
/* Of one target; the next rounds ask them. */
void daemon_space_settle_target(const struct daemon_target *t);
/* 0, or -ENOTSUP and a problem: the LUN shall have thresholds, and its handler does not tell. */
int daemon_space_judge(bool tells, const struct config_lun *c, struct config_problems *problems);

/* daemon_retire.c: before the end: what is on its way out is let out. */
void daemon_retire_wait(struct daemon *d, uint64_t timeout_ns);
/* As control_services.draining. */
void daemon_retiring(void *user, void (*each)(void *data, const struct control_draining *what),
                     void *data);

/* daemon_reload.c: RELOAD (its descriptor stays the caller's), COMMIT, RELOAD_FAILED. */
void daemon_reload(struct daemon *d, const struct link_message *m);
void daemon_reload_commit(struct daemon *d, const struct link_verdict *verdict);
/* `whole`: what was asked for is to be asked again with the whole text. */
void daemon_reload_failed(struct daemon *d, const char *why, bool whole);
/* As control_services.reload. */
void daemon_reload_ask(void *user, const struct control_reload *how, control_reload_fn *done,
                       void *data);

/* daemon_revise.c: as control_services.slice and .revise. */
int daemon_slice(void *user, const char *target, struct config_slice *ret_slice);
void daemon_revise_ask(void *user, const struct config_slice *slice, const char *edited,
                       size_t length, const char *target, const struct control_reload *how,
                       control_reload_fn *done, void *data);
/* The keeper wants the whole text. False: there is nothing to be asked again. */
bool daemon_revise_again(struct daemon *d);
