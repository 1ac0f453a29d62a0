/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storage: a handler's LUN as the scsi layer's struct backend. This is the bridge over both shapes of
 * <holdfast/handler.h>:
 *
 *   queue      submit() goes straight to the handler's queue of this reactor
 *   blocking   the I/O becomes a job of the pool; SERIAL handlers get one at a time of a LUN
 *
 * A LUN has one queue a reactor, opened on the reactor by the first I/O there (or storage_prepare()).
 * A queue has a fixed table of slots, its depth; an I/O that finds none free waits in a FIFO
 * threaded through backend_io.room, so nothing is allocated for an I/O. The handler knows an I/O by
 * the slot's id, which has a generation: an answer that comes twice, or to nothing, is found out,
 * logged with the handler's name, and dropped. One that never comes shows up in storage_age_ns().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/yaml.h"
#include "plugin/options.h"
#include "reactor/pool.h"
#include "scsi/backend.h"

/* What storage needs from the rest of the worker; constant, outlives every backend. */
struct storage_services {
    void *user;
    struct pool *pool;      /* blocking handlers, close */
    unsigned reactor_count; /* highest reactor->index + 1 */
    struct reactor *const *reactors; /* so many; for LUNs that are absent */
    /*
     * A memfd that outlives the worker, by name ("lun:<target>/<lun>", "keep:state:<target>/<lun>"). 0, *ret_fd (the caller's) and
     * *ret_existed; *ret_number of "lun:" ones is the same in every worker and nobody else's. Or negative
     * errno. Called by the thread that is in storage_open(), which may
     * be one of the pool: the integrator passes it on to the control thread and waits.
     */
    int (*memfd_get)(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed,
                     uint32_t *ret_number);
    /*
     * The handler says that the LUN has changed; comes on any thread. The integrator goes to its
     * control thread and calls storage_set_info() and scsi_unit_changed() there. NULL: ignored.
     */
    void (*changed)(void *user, struct backend *backend, const struct backend_info *info);
};

/* What becomes of an I/O that the handler has had for longer than the deadline: late.c. */
enum storage_when_late {
    STORAGE_LATE_STALL, /* it waits */
    STORAGE_LATE_BUSY, /* it is given up: -EAGAIN, and so is everything until the handler answers */
    STORAGE_LATE_FAIL, /* the same with -ETIMEDOUT */
};

/* What a handler may leave with state_put(). */
#define STORAGE_STATE_MAX 65520u

struct storage_options {
    const struct storage_services *services;
    const struct plugin *plugin;  /* of kind handler */
    struct plugin_config *config; /* taken over, also on failure */
    const char *target;           /* name, copied */
    unsigned lun;
    bool read_only;
    unsigned block_bytes; /* 0: as the handler says */
    bool again;           /* it has been in use: what its options name must be there, and is not made
                             anew, empty */
    uint64_t free_by_ns;  /* until then a lock that another holds is waited for; 0: not at all */
    uint32_t mark;        /* storage_current() within its handler; 0: it has none */
    struct hf_lun *above; /* lower.c: the LUN that wraps this one; NULL elsewhere */
    struct backend *beside; /* the same LUN as it is open now; NULL: it is not */
};

/*
 * Opens the LUN; may wait (control or pool thread). 0 and *ret_backend; or negative errno, and
 * `error` says what could not be opened and why, without the names of target and LUN.
 */
int storage_open(const struct storage_options *options, struct backend **ret_backend,
                 struct hf_error *error);
/*
 * The same for one that cannot be opened and was open in a worker before, with that info: it is absent
 * (absent.c), and its I/Os wait. `options` as above, but for plugin and config, which are not used; `handler`: the
 * name, copied. Control thread. Never NULL.
 */
struct backend *storage_open_absent(const struct storage_options *options, const char *handler,
                                    const struct backend_info *info);
/* Any thread. */
bool storage_is_absent(const struct backend *backend);
/*
 * begin: one that is absent is about to be tried again; false: it is not absent, or is being tried. Control thread.
 * trial: once after it; may wait, on a thread of its own. Opens it with plugin and options as they are now
 * (`config` is taken over). 0 and what it is now: storage_return() is to follow. Or negative errno and
 * `error`: it is absent as before; -ESTALE: what was opened is not the disk that it was, and is closed again.
 * return: it is there again. False: storage_close() came before. Control thread.
 */
bool storage_trial_begin(struct backend *backend);
int storage_trial(struct backend *backend, const struct plugin *plugin,
                  struct plugin_config *config, struct backend_info *ret_info,
                  struct hf_error *error);
bool storage_return(struct backend *backend, const struct backend_info *info);
/* All I/Os of one that is absent are answered with -EAGAIN; more may come. Control thread. */
void storage_send_away(struct backend *backend);
/* I/Os of one that is absent are not waited for as it is closed: their commands are another worker's. Control
   thread. */
void storage_abandon(struct backend *backend);
/* The mark of the LUN whose handler is at work on this thread; 0: none. May be called in a signal handler. */
uint32_t storage_current(void);
/* Before its first I/O. Control thread. */
void storage_set_mark(struct backend *backend, uint32_t mark);
/* On a reactor: its I/Os that wait for LUNs that are absent, and commands for them. */
unsigned storage_absent_waiting(void);
/* It, or one that it wraps, has asked for memory that outlives the worker; and its number. Control thread. */
bool storage_memory(const struct backend *backend, uint32_t *ret_number);
bool storage_uses_memory(const struct backend *backend);
/*
 * On a data reactor: opens this reactor's queue if it is not open, so that the first I/O need not.
 * 0, or negative errno (also logged).
 */
int storage_prepare(struct backend *backend);
/*
 * New options of which only HF_CHANGE_LIVE ones differ (plugin_config_compare()), under running I/O; may
 * wait (control thread). 0: `config` is taken over and the old one freed; negative errno and
 * `error`: nothing has changed and `config` is still the caller's. -ENOTSUP: close and open instead.
 */
int storage_update(struct backend *backend, struct plugin_config *config, struct hf_error *error);
/*
 * Before the LUN is closed for another process to open: the handler's save(). No I/O is under way; may
 * wait (control thread). 0, or negative errno and `error`: the next open() then finds nothing.
 */
int storage_save(struct backend *backend, struct hf_error *error);
/*
 * No submit comes any more (on any reactor, all of which still run). Waits for the I/Os under way, closes the queues on their
 * reactors, then the LUN on the pool, then calls closed(user) there: storage is gone. Control
 * thread; does not wait. A handler that never answers keeps this from ever ending.
 */
void storage_close(struct backend *backend, void (*closed)(void *user), void *user);
/* The same, waiting up to timeout_ms: 0, or -ETIMEDOUT (it may still end later). Not on a reactor. */
int storage_close_wait(struct backend *backend, unsigned timeout_ms);

/* How much room the storage says there is; what is not known is 0. */
struct storage_space {
    bool used_known, available_known;
    bool shared; /* others may take what is available */
    uint64_t used_bytes, available_bytes;
};

/* A question after it; the caller's, until done(). */
struct storage_ask {
    void (*done)(struct storage_ask *ask); /* on a pool thread; the last touch of `ask` is yours */
    int result;                            /* 0, or negative errno: -ENOTSUP when it cannot tell */
    struct storage_space space;
    struct backend *backend; /* private, as the rest */
    struct pool_job job;
};

/* False: the handler has no way to tell. */
bool storage_tells_space(const struct backend *backend);
/*
 * Control thread, one question a LUN at a time; before storage_close(), which waits for its end.
 */
void storage_ask_space(struct backend *backend, struct storage_ask *ask);

/* Age of the oldest I/O that the handler has not answered; 0 when there is none. Any thread, until
   storage_close(). */
uint64_t storage_age_ns(struct backend *backend, uint64_t now_ns);
/* I/Os at the handler and waiting for it. Any thread, until storage_close(). */
void storage_depth(struct backend *backend, unsigned *ret_at_handler, unsigned *ret_waiting);
/*
 * Watchdog, call it now and then on the control thread: warns once an I/O when the oldest is older
 * than limit_ns, and says so when it was answered after all. True while there is such an I/O.
 */
bool storage_watch(struct backend *backend, uint64_t now_ns, uint64_t limit_ns);
/* Replaces backend->info; control thread, see storage_services.changed. */
void storage_set_info(struct backend *backend, const struct backend_info *info);
/* For I/Os that begin from now on. Any thread. */
void storage_set_deadline(struct backend *backend, uint64_t deadline_ns,
                          enum storage_when_late when_late);
/* The same for one that is in use, and for what waits there because it is absent, as if that had just come; what the
   handler has had without a deadline stays without. Control thread. */
void storage_change_deadline(struct backend *backend, uint64_t deadline_ns,
                             enum storage_when_late when_late);
/* I/Os given up that the handler still has, and all since open. Any thread, until storage_close(). */
void storage_given_up(struct backend *backend, unsigned *ret_now, uint64_t *ret_ever);
/* How often a handler broke the rules since it was opened: contained, logged, counted. Any thread. */
enum storage_misuse {
    STORAGE_STRAY_ANSWER, /* to an I/O that has its answer, or to none; ignored */
    STORAGE_WRONG_THREAD, /* complete() away from the queue's reactor; taken as complete_remote() */
    STORAGE_BAD_RESULT,   /* no errno, or an extent that is none; taken as -EIO */
    STORAGE_MISUSES
};
uint64_t storage_misuses(struct backend *backend, enum storage_misuse kind);
uint64_t storage_stray_answers(struct backend *backend);
/* I/Os that the handler failed, and queues that it did not open, since open. Any thread. */
uint64_t storage_errors(struct backend *backend);
/* I/Os that storage_watch() warned of, since open. Control thread. */
uint64_t storage_stalls(struct backend *backend);
const char *storage_target(const struct backend *backend);
unsigned storage_lun(const struct backend *backend);
