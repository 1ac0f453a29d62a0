/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this folder share.
 *
 *   server.c     the listening socket, the turn in which clients are served, limits over all of them
 *   client.c     one connection: lines in, lines out
 *   message.c    JSON-RPC: a line becomes a call, a call's end becomes a line
 *   verbs.c      the table of methods and the check of their parameters
 *   http.c       metrics over HTTP
 *   snapshot.c   a look at all reactors and the keeper, shared by the calls that wait for one
 *   ask.c        the methods that the keeper answers
 *   look.c  look_sessions.c  act.c  metrics.c  metrics_service.c    the methods
 */
#pragma once

#include <json-glib/json-glib.h>
#include <stdatomic.h>

#include "base/json.h"
#include "control/control.h"
#include "control/notes.h"
#include "control/snapshot.h"

#define CONTROL_CLIENTS_MAX  256
#define CONTROL_MESSAGE_MAX  (64u << 10) /* bytes of a request, its newline included */
#define CONTROL_DEPTH_MAX    8           /* of nested values in it */
#define CONTROL_MISTAKES_MAX 16          /* lines that are no requests; then the client is closed */
#define CONTROL_OUT_MAX      (32u << 20) /* of answers not yet taken by clients: then they go first */
#define CONTROL_RECEIVE_MS   10000       /* a message has to be complete */
#define CONTROL_SEND_MS      30000       /* a client takes something of its answer */
#define CONTROL_IDLE_MS      600000
#define CONTROL_SNAPSHOT_MS  5000 /* a reactor answers */
#define CONTROL_PATH_MAX     384  /* of a binary, its NUL included */

struct client;
struct call;
struct http;

struct control {
    struct control_services services;
    int fd;
    bool stopping;
    guint accept_watch, sweep_timer, notes_watch, turn_source;
    int notes_fd;                         /* eventfd */
    _Atomic(struct control_note *) notes; /* a stack */

    struct list clients; /* the one that was heard longest ago comes first */
    unsigned client_count;
    struct list ready;               /* struct turn: clients with a line, calls with a snapshot */
    uint64_t out_bytes;              /* of all clients */
    uint64_t debt_ns, turn_ended_ns; /* time spent on clients and not yet given back */

    struct snapshots snapshots;
    struct http *http; /* NULL once it stops */
    struct call *changing; /* the QUEUED call whose turn it is; NULL: none */
    struct list changes;   /* QUEUED calls behind it */
    struct list asks; /* ask.c: calls that wait for the keeper */
    uint32_t last_ask;
    uint64_t started_ns;
    double started; /* the same as seconds of the calendar */
    struct {
        uint64_t clients, refused_clients, calls, failed_calls;
    } count;
};

/* server.c: something to do when it is its turn. */
struct turn {
    struct list link;
    void (*run)(struct turn *turn);
};
void turn_init(struct turn *turn, void (*run)(struct turn *turn));
void turn_queue(struct control *control, struct turn *turn);
void turn_cancel(struct turn *turn);

/* client.c */
struct client *client_new(struct control *control, int fd);
void client_close(struct client *client);
/* Looks at the time; may close it. */
void client_check(struct client *client, uint64_t now_ns);
/* No request under way and none half received. */
bool client_is_idle(const struct client *client);
/* How long it has taken nothing of its answer; 0: it has none. */
uint64_t client_waits_ns(const struct client *client, uint64_t now_ns);
bool client_may_change(const struct client *client);
/* Root, or the user that the daemon was started as. */
bool client_is_owner(const struct client *client);
/* The call's answer, a line; empty: there is none (a notification). Takes the text over. */
void client_answer(struct client *client, GString *line);
/* The descriptor that the client has sent last, now the caller's; -1: none. */
int client_take_fd(struct client *client);
/* Counts a line that was no request; false: that was one too many. */
bool client_mistake(struct client *client);
struct client *client_of_link(struct list *link);

/* ---- message.c ---- */

enum {
    RPC_PARSE = -32700,
    RPC_REQUEST = -32600,
    RPC_METHOD = -32601,
    RPC_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_REFUSED = -32000,       /* the text says why */
    RPC_NOT_PERMITTED = -32002,
};

struct verb;

struct call {
    struct control *control;
    struct client *client; /* NULL: it has gone */
    const struct verb *verb;
    char *id;           /* JSON; NULL: a notification */
    JsonObject *params; /* NULL: none */
    struct turn turn;
    struct snapshot *snapshot; /* of verbs that ask for one */
    struct list waiting;       /* for a snapshot, or for the changes before it */
    int fd;                    /* that came with it; -1: none */
    bool acting;               /* it must not be forgotten when its client goes */
    GString *out;
    struct json_writer result; /* into out */
    int error;
    char *text;
    GArray *rows; /* metrics.c: while it gathers */
};

/* A line of a client (without its newline). NULL: it was answered already, or needs no answer; the
   client may be gone. *ending is set before that when it is to be closed after the answer. */
struct call *call_begin(struct client *client, struct control *control, const char *line,
                        size_t bytes, bool *ending);
/* A call of our own, without client or parameters; its verb runs when there is a snapshot. */
struct call *call_by_itself(struct control *control, const struct verb *verb);
/* Sends the result, or the error when call_fail() was called, and frees it. */
void call_end(struct call *call);
/* It runs when those before it have ended. */
void call_queue(struct call *call);
/* Its client has gone: it is freed, unless it is acting; then it ends without an answer. */
void call_abandon(struct call *call);
/* Returns `error`. */
int call_fail(struct call *call, int error, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The line for what is no request at all. */
GString *message_error(const char *id, int error, const char *text);

/* ---- verbs.c ---- */

/* QUEUED: one at a time, in the order in which they come. */
enum { VERB_CHANGES = 1, VERB_SNAPSHOT = 2, VERB_SNAPSHOT_OPTIONAL = 4, VERB_QUEUED = 8 };

struct verb_param {
    const char *name;
    GType type; /* G_TYPE_STRING, G_TYPE_INT64, G_TYPE_BOOLEAN, G_TYPE_OBJECT, or G_TYPE_NONE: a string or a number */
    bool required;
};

#define VERB_PARAMS_MAX 5
#define VERB_PENDING    1 /* run(): call_end() comes later */

struct verb {
    const char *method;
    unsigned flags;
    int (*run)(struct call *call); /* 0: the result is written; VERB_PENDING; or call_fail() */
    struct verb_param params[VERB_PARAMS_MAX];
};

const struct verb *verb_find(const char *method);
/* The method most like this one, or NULL. */
const char *verb_nearest(const char *method);
/* Checks permission and parameters, then runs it now or when there is a snapshot. */
void verb_start(struct call *call);
void verb_run(struct call *call);

/* Checked parameters: the default when left out. */
const char *call_string(const struct call *call, const char *name);
bool call_flag(const struct call *call, const char *name);
bool call_number(const struct call *call, const char *name, uint64_t *ret_number);
/* A target by the parameter's name; -1 after call_fail(). */
int call_target(struct call *call, const char *name);

/* ---- the methods ---- */

int look_status(struct call *call);
int look_targets(struct call *call);
int look_luns(struct call *call);
int look_portals(struct call *call);
int look_sessions(struct call *call);
int look_top(struct call *call);
int look_progress(struct call *call);
int look_metrics(struct call *call);
/* metrics.c, of a call that has a snapshot: all of it as text; g_free(). */
char *metrics_text(struct call *call);
/* metrics_service.c */
void metrics_service(struct call *call, GString *out);
void metrics_sessions(struct call *call, GString *out);
int look_plan(struct call *call);
int act_session_drop(struct call *call);
int act_lun_resize(struct call *call);
int act_reload(struct call *call);
int act_target_set(struct call *call);
int act_target_remove(struct call *call);
int act_lun_set(struct call *call);
int act_lun_remove(struct call *call);
int act_lun_reopen(struct call *call);
int act_log_level(struct call *call);
int ask_upgrade(struct call *call);
int ask_upgrade_show(struct call *call);
int ask_fence_raise(struct call *call);
int ask_fence_lower(struct call *call);
int ask_fence_show(struct call *call);
/* Calls that still wait: nobody will answer them. */
void ask_deinit(struct control *control);
