/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the storage bridge: storage.c (open, close), queue.c (slots, answers),
 * blocking.c (jobs), ring_host.c (the reactor's ring for handlers), watch.c, absent.c.
 *
 * A slot is at the handler while `live` holds its id. Whoever turns `live` from the id to 0 owns the
 * answer; all others are strays. Everything else in a queue belongs to its reactor.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "plugin/storage.h"
#include "reactor/reactor.h"

#define SLOT_INDEX_BITS 10
#define SLOT_INDEX_MASK ((1u << SLOT_INDEX_BITS) - 1)
_Static_assert(HF_QUEUE_DEPTH_MAX <= SLOT_INDEX_MASK + 1, "an id holds the index of every slot");

#define SLOT_HELD_MAX 8u /* pieces of memory of an I/O that can be given up */

#define QUEUE_DEPTH_DEFAULT 128u
#define QUEUE_NESTING_MAX   16u /* answers from within submit that lead to the next submit */

struct slot {
    _Atomic uint64_t live;     /* the id while at the handler, 0 otherwise */
    _Atomic uint64_t since_ns; /* when it went there */
    uint64_t generation;
    struct hf_queue *queue;
    struct backend_io *io;
    struct slot *next;               /* free slots; jobs of a serial handler */
    int32_t result;                  /* on its way to the reactor */
    struct iovec iov[SLOT_HELD_MAX]; /* late.c: what the handler has, on LUNs with a deadline */
    struct buf *held[SLOT_HELD_MAX]; /* late.c: the buffers of one that was given up (io: NULL) */
    union {
        struct reactor_message message; /* an answer from another thread */
        struct pool_job job;            /* blocking handlers */
    };
    struct hf_io hf;
    _Alignas(16) char room[]; /* the handler's */
};

/* A LUN on one reactor. */
struct hf_queue {
    struct hf_lun *lun;
    struct reactor *reactor;
    void *handle;        /* of the handler's queue_open() */
    _Atomic uint32_t depth; /* 0: the handler does not serve it (yet), all I/Os wait */
    char *slots;            /* `depth` of lun->slot_bytes each */
    struct slot *free;   /* used before, last one first */
    unsigned fresh;      /* slots from here on were never used */
    struct list waiting; /* of struct waiter */
    struct list dropped; /* cancelled while waiting; answered by `task` */
    _Atomic uint32_t at_handler, waiting_count;
    unsigned ring_busy; /* ring requests of the handler under way */
    struct {
        int fd;
        bool lasts;
    } looked; /* ring_host.c: at a descriptor */
    unsigned nesting;
    bool pumping, closing, kick_due;
    struct reactor_task task;
    struct timer late_timer; /* late.c */
    struct reactor_message close_message;
};

/* Lies in backend_io.room. */
struct waiter {
    struct list link;
    uint64_t place; /* WAITER_…, or the id of the slot */
};
#define WAITER_WAITING 0u
#define WAITER_DROPPED UINT64_MAX
_Static_assert(sizeof(struct waiter) <= sizeof(((struct backend_io *)0)->room),
               "room is large enough");

/* A LUN: what the handler has as struct hf_lun and the scsi layer as struct backend. */
struct hf_lun {
    struct backend backend;
    const struct storage_services *services;
    const struct plugin *plugin;
    const struct hf_handler_ops *ops;
    struct plugin_config *config;
    struct hf_lun *above;       /* the LUN that wraps this one, or NULL */
    struct hf_lower *lowers;    /* those that this one wraps */
    unsigned asked_block_bytes; /* 0: as the handler says */
    bool again;                 /* as in struct storage_options */
    uint64_t free_by_ns;        /* the same */
    bool opening;               /* within the handler's open() */
    bool kicks;                 /* the handler wants a kick after submits */
    bool open;                  /* `handle` is the handler's */
    struct absent *absent;      /* absent.c; NULL: it was there from the beginning */
    _Atomic bool is_absent;     /* the handler has not opened it yet */
    _Atomic bool closing;       /* storage_close() has been called */
    char *target;
    unsigned number;
    bool read_only;
    uint32_t mark;       /* as in struct storage_options */
    bool saving;         /* within the handler's save() */
    bool memory_taken;   /* by the same LUN, which is open beside this one */
    struct state *state; /* state.c; mapped while it is needed */
    void *handle;
    uint32_t store_number; /* of its memory, + 1; 0: it has none that outlives the process */
    uint32_t store_arena;  /* backend.info's */
    _Atomic uint64_t deadline_ns; /* 0: I/Os wait for ever */
    _Atomic uint32_t when_late;   /* enum storage_when_late */
    _Atomic uint32_t given_up;    /* I/Os that the handler still has to answer */
    _Atomic uint64_t given_up_ever;
    unsigned depth;
    size_t slot_bytes;
    _Atomic uint64_t misuses[STORAGE_MISUSES];
    _Atomic uint64_t refusals;          /* queues that could not be opened */
    _Atomic(struct hf_queue *) *queues; /* by reactor index */
    _Atomic uint64_t errors;            /* I/Os that the handler failed */
    _Atomic uint64_t failure_told_ns, failures_untold; /* failure.c */
    uint64_t watched_ns; /* watch.c: when the I/O that was last warned of had begun */
    uint64_t stalls;     /* watch.c: how many were warned of */

    /* serial handlers: one job that runs what has gathered, see blocking.c */
    _Atomic(struct slot *) serial_stack;
    _Atomic uint32_t serial_pending;
    uint32_t serial_batch;
    struct pool_job serial_job;

    /* close */
    _Atomic uint32_t open_queues; /* since storage_close(); one until it has looked, and one a question
                                     after space */
    struct pool_job close_job;
    void (*closed)(void *user);
    void *closed_user;
};

/* storage.c: see storage_current(). Whoever calls the handler says so: before = enter(lun); call; leave(before). */
extern _Thread_local uint32_t lun_at_work;

static inline uint32_t lun_enter(const struct hf_lun *lun)
{
    uint32_t before = lun_at_work;
    lun_at_work = lun->mark;
    return before;
}

static inline void lun_leave(uint32_t before)
{
    lun_at_work = before;
}

static inline struct hf_lun *lun_of(const struct backend *backend)
{
    return container_of((struct backend *)backend, struct hf_lun, backend);
}

static inline struct slot *queue_slot(const struct hf_queue *queue, unsigned index)
{
    return (struct slot *)(queue->slots + index * queue->lun->slot_bytes);
}

/* queue.c */
/* Frees the memory of a queue that its handler has closed. */
void queue_free(struct hf_queue *queue);
/* Posts the end of a queue to its reactor; then lun_queue_closed() comes from there. */
void queue_close(struct hf_queue *queue);
extern const struct backend_ops queue_backend_ops, queue_backend_ops_without_kick;
/* Looks whether a closing queue has come to rest. */
void queue_settle(struct hf_queue *queue);
/* The owner of the answer of `id`, who must finish it; NULL: a stray, which has been logged. */
struct slot *queue_claim(struct hf_queue *queue, uint64_t id);
/* On the reactor: frees the slot and answers. */
void queue_finish(struct slot *slot, int32_t result);
/* Any thread: queue_finish(slot, slot->result) on the reactor. */
void queue_finish_posted(struct slot *slot);

/* The handler serves the queue of this reactor from now on; or its I/Os have failed. */
void queue_return(struct hf_queue *queue);
/* Answers every I/O that waits. */
void queue_refuse_waiting(struct hf_queue *queue, int result);

/* The I/O that waits, by its link in hf_queue.waiting. */
struct backend_io *queue_waiting_io(struct list *link);

/* lower.c: the LUNs below one. discard: its open() failed, nobody has used them. close: then
   lowers_closed(lun). save: storage_save() of each. */
void lowers_discard(struct hf_lun *lun);
bool lowers_close(struct hf_lun *lun, void (*closed)(void *lun));
int lowers_save(struct hf_lun *lun, struct hf_error *error);
bool lowers_memory(const struct hf_lun *lun, uint32_t *ret_number);
/* A LUN no queue of which was ever opened: closed here and now. */
void lun_discard(struct hf_lun *lun);
/* A kick of this reactor's queue at the end of the turn, if the handler wants it. */
void queue_kick_later(struct hf_lun *lun);

/* info.c. check: 0, or -EINVAL. to_handler: cut to to->size. */
int lun_check_info(const struct hf_lun *lun, const struct hf_lun_info *info,
                   unsigned asked_block_bytes, struct hf_error *error);
struct backend_info lun_convert_info(const struct hf_lun *lun, const struct hf_lun_info *info);
void lun_info_to_handler(const struct backend_info *from, struct hf_lun_info *to);

/* late.c. launch: before an I/O goes to the handler of a LUN with a deadline; answered: the handler
   has answered one that was given up. */
void late_init(struct hf_queue *queue);
void late_end(struct hf_queue *queue);
void late_launch(struct slot *slot);
void late_answered(struct slot *slot);
int late_result(const struct hf_lun *lun);

/* space.c: what the handler says, checked; may wait. */
int lun_space(struct hf_lun *lun, struct storage_space *ret_space);

/* failure.c: counts it, and says it now and then. The queue's reactor. */
void lun_failed(struct hf_lun *lun, const struct backend_io *io, int result, uint64_t now_ns);

/* misuse.c: counts it, and says it now and then. Any thread. */
void lun_misused(struct hf_lun *lun, enum storage_misuse kind, uint64_t id);

/* blocking.c */
void blocking_submit(struct slot *slot);
void blocking_cancel(struct slot *slot);

/* state.c: open() has succeeded, what was left for it is void; and: forgets the mapping. */
void lun_state_used(struct hf_lun *lun);
void lun_state_unmap(struct hf_lun *lun);

/* absent.c. waits, waits_no_more: an I/O that a LUN which is absent makes wait; return: its queue is served;
   closing: the handler's answer to a trial is not wanted any more. */
void absent_waits(struct hf_queue *queue, const struct backend_io *io);
void absent_waits_no_more(struct hf_queue *queue, const struct backend_io *io);
void absent_late(struct hf_queue *queue);
/* Those that it has given up are over: what comes waits again. */
void absent_not_late(struct hf_lun *lun);
void absent_closing(struct hf_lun *lun);
bool absent_used_memory(const struct hf_lun *lun);
/* What waits is not waited for as it is closed. */
bool absent_is_abandoned(const struct hf_lun *lun);
void absent_free(struct hf_lun *lun);
/* Something to do for each queue that there is, on its reactor. */
void lun_each_queue(struct hf_lun *lun, void (*run)(struct hf_queue *queue));

/* storage.c */
/* Closes what lun_open_handler() has opened; no queue is. */
void lun_discard_handler(struct hf_lun *lun);
/* Not open yet: all but its handler. */
struct hf_lun *lun_new(const struct storage_options *options, const char *product);
void lun_set_plugin(struct hf_lun *lun, const struct plugin *plugin, struct plugin_config *config);
/* open() of the handler; what it says of the LUN is in *ret_info. 0, or negative errno: nothing is open. */
int lun_open_handler(struct hf_lun *lun, struct backend_info *ret_info, struct hf_error *error);
void lun_queue_closed(struct hf_lun *lun);
