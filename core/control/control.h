/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control interface: JSON-RPC 2.0 on a UNIX stream socket, one message a line (holdfast-control(7)
 * describes it for clients). It looks at the engine and changes little; what it needs from the
 * composition root is in struct control_services.
 *
 * Thread: the control thread, on the default main context, below the priority of everything else
 * there. Clients are hostile: their number, their messages, the time they take and the memory they
 * make us use are limited (server.h).
 */
#pragma once

#include "base/status.h"
#include "config/revise.h"
#include "iscsi/acceptor.h"
#include "iscsi/registry.h"
#include "scsi/backend.h"
#include "scsi/unit.h"

struct control;
struct plugin_config;

struct control_target {
    const struct config_target *config;
    unsigned lun_count;
};

/* A LUN that cannot be opened; its commands wait. */
struct control_absent {
    const char *why;
    uint64_t since_ns;
    bool quarantined; /* workers have crashed over it: it is opened by request alone */
};

struct control_lun {
    const struct config_lun *config;
    struct backend *backend; /* of core/plugin */
    struct scsi_unit *unit;
    bool is_absent; /* `absent` says more */
    struct control_absent absent;
};

/* What the keeper knows. */
struct control_keeper {
    uint64_t uptime_ns, refused;
    unsigned generation, deaths, held, held_max;
    char how[64]; /* the last worker died; "": none has */
    struct status_pauses upgrades, restarts;
    struct status_pauses keepers; /* the keeper became another binary, or could not */
    char version[32];             /* of its binary; "": it is too old to say */
    struct status_fence fence;
};

/* What became of what the worker before this one left. */
struct control_take_over {
    unsigned sessions, connections, tasks; /* going on */
    unsigned dropped_sessions, quarantined_sessions;
    unsigned closed_connections;
    uint64_t took_ns;
};

/* What an administrator may ask of the keeper. */
enum control_ask {
    CONTROL_FENCE_SHOW,
    CONTROL_FENCE_RAISE,
    CONTROL_FENCE_LOWER,
    CONTROL_UPGRADE_SHOW,
    CONTROL_UPGRADE_BEGIN,
};

/* The answers; strings are valid during the call, "" is none. */
struct control_fence {
    int error; /* 0 or negative errno: raising or lowering was not begun */
    bool configured, up, wanted, busy;
    uint64_t up_ns, left_ns, up_total_ns;
    uint64_t raised, renewed, lowered, failed, timeouts;
    const char *plugin, *reason, *last_error;
};

enum control_upgrade_state {
    CONTROL_UPGRADE_NONE,
    CONTROL_UPGRADE_PREPARING,
    CONTROL_UPGRADE_FREEZING,
    CONTROL_UPGRADE_TAKING_OVER,
    CONTROL_UPGRADE_DONE,
    CONTROL_UPGRADE_FAILED,
};

/* Of an upgrade that is done: whether the keeper has become that binary, too. */
enum control_upgrade_keeper {
    CONTROL_KEEPER_SAME, /* it has it already, or is to keep its own */
    CONTROL_KEEPER_PENDING,
    CONTROL_KEEPER_DONE,
    CONTROL_KEEPER_FAILED,
};

struct control_upgrade {
    enum control_upgrade_state state;
    unsigned number, generation, pid;
    uint64_t pause_ns;
    const char *binary, *why;
    enum control_upgrade_keeper keeper;
    const char *keeper_why;
};

/* A reload, of the file or of a text in place of it. */
struct control_reload {
    bool force;
    uint32_t drain_ms;         /* 0: what is in use does not go */
    int fd;                    /* the text, stays the caller's; -1: the file */
    bool write;                /* the text takes the place of the file's */
    const char *reopen_target; /* its LUN is opened anew, whatever changes; NULL: none */
    unsigned reopen_lun;
};

struct plan;
/*
 * `why` NULL: it is in effect, or (`upgrade` is not 0) another worker takes over with it, and the keeper's
 * upgrade of that number says how that ends. Else what stood in the way, a line each. `plan` may be NULL;
 * until it returns.
 */
typedef void control_reload_fn(void *data, const struct plan *plan, unsigned upgrade,
                               const char *why);

/* What a reload has taken away and initiators still use. */
struct control_draining {
    const char *target;
    bool whole;        /* the target goes, with its sessions; else the LUN */
    unsigned lun;      /* not whole */
    unsigned commands; /* I/Os that its storage has */
    uint64_t left_ns;  /* until what is left is ended */
};

struct control_services {
    void *user;
    unsigned generation;
    struct engine *const *engines; /* data reactors, then the login reactor */
    unsigned engine_count;
    struct registry *registry;
    struct acceptor *acceptor;
    const struct config *(*config)(void *user);
    /* The options of one of its entries of `auth:` as they are in effect. */
    const struct plugin_config *(*auth)(void *user, const struct config_auth *auth);
    /* The text that it was made from; until the loop goes on. */
    const char *(*text)(void *user, size_t *ret_length);
    bool (*stopping)(void *user);
    const struct control_take_over *take_over; /* constant */
    /* Targets and their LUNs in the file's order. What is returned is valid until the loop goes on. */
    unsigned (*target_count)(void *user);
    void (*target)(void *user, unsigned target, struct control_target *ret_target);
    void (*lun)(void *user, unsigned target, unsigned lun, struct control_lun *ret_lun);
    /* Asks the keeper; control_keeper_answer() comes later, or never. */
    void (*ask_keeper)(void *user);
    /*
     * Asks the keeper for something; control_fence_answer() or control_upgrade_answer() with the same id
     * comes later, or never. `path`: of UPGRADE_BEGIN; NULL: what lies where the daemon's own binary did.
     * `worker_only`: the keeper stays what it is.
     */
    void (*ask)(void *user, enum control_ask what, uint32_t id, const char *path, bool worker_only);
    /*
     * Another size for an open LUN; `done` comes once, from within or later, with `why` NULL when it has
     * that size now. `stale` (NULL: none) is where the configuration file says otherwise.
     */
    void (*resize)(void *user, unsigned target, unsigned lun, uint64_t bytes,
                   void (*done)(void *data, const char *why, const struct config_node *stale),
                   void *data);
    /* `done` comes once, from within or later. */
    void (*reload)(void *user, const struct control_reload *how, control_reload_fn *done,
                   void *data);
    /*
     * The part of the text that is about this target (config/revise.h): 0; negative errno: there is none, the
     * whole text is to be edited. Valid for a revision until the loop goes on.
     */
    int (*slice)(void *user, const char *target, struct config_slice *ret_slice);
    /* As reload, with that part as it was edited in place of a text; `how->fd` is not looked at. */
    void (*revise)(void *user, const struct config_slice *slice, const char *edited, size_t length,
                   const char *target, const struct control_reload *how, control_reload_fn *done,
                   void *data);
    /* Calls `each` for all there is; what it gets is valid until it returns. */
    void (*draining)(void *user, void (*each)(void *data, const struct control_draining *what),
                     void *data);
};

/*
 * Serves `fd`, a listening socket that stays the caller's (-1: none), and metrics over HTTP where the
 * configuration says so; `services` is copied. 0 or negative errno.
 */
int control_create(const struct control_services *services, int fd, struct control **ret_control);
/* The configuration has changed: metrics over HTTP are where it says now. */
void control_listen(struct control *control);
/* Ends all clients and accepts no more; what reactors still hold comes back before control_free(). */
void control_stop(struct control *control);
/* After control_stop() and after the reactors have stopped. NULL is fine; returns NULL. */
struct control *control_free(struct control *control);

void control_keeper_answer(struct control *control, const struct control_keeper *keeper);
void control_fence_answer(struct control *control, uint32_t id, const struct control_fence *fence);
void control_upgrade_answer(struct control *control, uint32_t id,
                            const struct control_upgrade *upgrade);
