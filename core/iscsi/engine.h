/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the iSCSI layer keeps per reactor, and the private faces of sessions, connections and tasks.
 * A session lives on one reactor with all its connections, so nothing in these structs is shared;
 * what a successor needs is in the records of state.h, and these structs are its working copy.
 *
 * Who owns what:
 *   session     made by the registry (login reactor), freed by it after session_gone()
 *   connection  made by the acceptor (login reactor), freed by it after connection_gone()
 *   task        from the session's array; taken by receive, given back when its last PDU has been
 *               written (or its session ends) and its command is not executing
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "iscsi/state.h"
#include "net/stream.h"
#include "reactor/bufpool.h"
#include "reactor/reactor.h"
#include "scsi/command.h"
#include "scsi/nexus.h"

struct acceptor;
struct admission_source;
struct connection;
struct session;
struct task;

/* reactor->user of every reactor that runs sessions. */
struct engine {
    struct reactor *reactor;
    struct engine *const *all;       /* every engine, for what is broadcast */
    unsigned all_count;
    struct list sessions;
    struct list gathering;           /* tasks waiting for buffers, in order */
    struct bufpool_waiter waiter;    /* of the first of them */
    /* relief.c */
    struct timer relief;
    uint32_t granted, granted_seen;  /* buffers that somebody waited for; as of its last look */
    uint64_t short_until_ns;
    uint32_t executing;              /* commands that units have */
    uint32_t *working;               /* state_working() */
    bool frozen;                     /* nothing is parsed: see handover/freeze.h */
    struct reactor_task kick;        /* scsi_kick() at the end of a turn that executed commands */
    /* Counters, one writer; read anywhere. */
    uint64_t commands, read_bytes, written_bytes;
    uint64_t rejects, digest_errors, aborted_tasks, buffer_waits, nop_timeouts;
    struct list *observed;           /* observe.c: the next of `sessions` it will look at, or NULL */
};

/* ---- task ---- */

enum task_kind { TASK_SCSI, TASK_MANAGEMENT, TASK_NOP, TASK_TEXT, TASK_LOGOUT, TASK_REJECT, TASK_ASYNC,
                 TASK_NUMBER /* keeps the place of a CmdSN that came early */ };

enum task_state {
    TASK_FREE,
    TASK_HELD,      /* CmdSN not yet due */
    TASK_BLOCKED,   /* waits for an ORDERED task, or is one */
    TASK_COLLECT,   /* started; waits for buffers or Data-Out */
    TASK_EXECUTE,   /* the unit has it */
    TASK_ANSWER,    /* in the connection's output, or in its transmit queue */
    TASK_ORPHAN,    /* aborted or connection lost while executing: done() frees it */
};

struct task {
    struct scsi_command cmd;         /* TASK_SCSI */
    struct list link;                /* output or blocked list */
    struct list gather_link;         /* the engine's gathering list */
    struct session *session;
    struct connection *conn;         /* allegiance; NULL for an orphan */
    struct task_record *record;
    uint16_t index;                  /* in the session's array */
    uint16_t hash_next;              /* index + 1; 0: end */
    uint8_t kind, state;
    bool immediate;
    bool hashed;
    bool counted;                    /* takes a slot of the command window */
    bool running;                    /* counted in session->running (ordering) */
    bool started;                    /* scsi_start() was called */
    bool executing;                  /* counted in engine->executing */
    bool ended;                      /* scsi_start() ended it, or `failed` is set: no execution */
    bool gather;                     /* in the engine's gathering list */
    bool unsolicited;                /* unsolicited Data-Out is open (F not seen) */
    bool segment_open;               /* the data segment of its command PDU is still to be placed */
    bool fault;                      /* something was wrong with its data: the sense is below */
    uint8_t fault_key, fault_asc, fault_ascq;
    bool status_sent;
    bool final_queued;               /* its last PDU is in the transmit queue */
    bool written;                    /* ... and has been written */
    struct task *aborter;            /* a task of management that waits for the end of this one */
    uint32_t waits_for;              /* TASK_MANAGEMENT: things it waits for, itself while it begins */
    uint8_t response;                /* TASK_MANAGEMENT */
    uint32_t itt, cmd_sn;

    /* Data-Out */
    uint32_t received;               /* contiguous from 0 */
    uint32_t capacity;               /* bytes in buffers */
    uint32_t need;                   /* bytes it waits for, while gathering */
    uint32_t data_sn;                /* expected in the current sequence */
    uint32_t sequence_end;           /* offset at which the current R2T ends */
    uint32_t r2t_sent, r2t_done;
    uint32_t r2t_offset;             /* next byte to ask for */
    uint64_t waiting_since_ns;       /* for its turn or a burst of Data-Out; see deadline.c */

    /* Data-In and the answer */
    arena_ref mapped;                /* as cmd.mapped, or 0: from buffers */
    uint32_t sent;                   /* bytes in PDUs so far */
    uint32_t data_in_sn;

    /* answers that are one PDU: its header and data */
    uint8_t bhs[ISCSI_BHS_BYTES];
    arena_ref answer_data;
    uint32_t answer_bytes;
    bool answer_next_status;         /* it shows the next StatSN and does not take it (our ping) */

    unsigned buf_count;
    struct buf *buf[STATE_TASK_BUFFERS];
    struct iovec iov[STATE_TASK_BUFFERS];
};

/* ---- connection ---- */

/* A login on its way into a session, then the connection in it. Embedded in the acceptor's struct. */
struct registry_seat {
    struct list link;
    struct registry_entry *entry;      /* NULL: in none */
    struct connection *connection;
    bool attached;                     /* it has gone to the session's reactor */
    bool numbered;                     /* the connection has its number in the session */
};

enum connection_state {
    CONNECTION_LOGIN,   /* the acceptor's */
    CONNECTION_FULL,    /* full feature phase */
    CONNECTION_DRAIN,   /* logged out or dropped: send what is queued, then FIN */
    CONNECTION_LINGER,  /* FIN sent; waits a moment for the peer's */
    CONNECTION_CLOSING, /* stream_close() called */
    CONNECTION_CLOSED,
};

enum { FENCE_NONE, FENCE_MARK, FENCE_ACKNOWLEDGE }; /* connection->fence, see fence.c */
enum { FENCE_DOWN, FENCE_BEFORE, FENCE_AFTER };     /* session->fence */

enum receive_state { RECEIVE_HEADER, RECEIVE_WAIT, RECEIVE_DATA, RECEIVE_DISCARD };

struct connection {
    struct stream stream;
    struct list link;                /* the session's connections */
    struct list home_link;           /* the acceptor's */
    struct connection_record *record;
    uint32_t index;                  /* of the record */
    uint32_t slot;                   /* the keeper's */
    int fd;                          /* owned */
    struct engine *engine;
    struct session *session;
    struct acceptor *acceptor;
    struct admission_source *source; /* the acceptor's: where it comes from */
    struct login_run *login;         /* until full feature phase */
    struct registry_seat seat;       /* the registry's, on the login reactor */
    uint16_t cid;
    uint8_t number;                  /* in the session */
    uint8_t state;
    bool header_digest, data_digest;
    bool receiving;                  /* inside receive_run(): it commits */
    bool stalled;                    /* receive_run() waits for buffers or a task */
    uint32_t late_from;              /* resumed: CmdSNs from here on that this connection has not */
    uint64_t late_until;             /* committed, as far as this position of the stream */
    bool leaves_session;             /* its end is orderly: the session's other connections stay */
    struct iscsi_params params;

    /* receive.c */
    uint8_t receive;                 /* enum receive_state */
    bool segment_bad;                /* its data must not be used */
    uint32_t segment_bytes;          /* its data segment */
    uint32_t segment_placed;         /* of them, into buffers */
    uint32_t segment_offset;         /* task offset of the first */
    uint32_t discard_left;           /* with the trailer */
    uint32_t discard_crc;            /* running, over the segment so far */
    struct task *segment_task;       /* NULL: nobody wants it */
    struct reactor_task more;

    struct list output;              /* tasks with PDUs to send, in order */
    struct timer timer;              /* keepalive, or the end of lingering */
    uint64_t received_ns;            /* when bytes last came */
    uint64_t data_out_ns;            /* when a Data-Out last came */
    /* deadline.c: as of its last look */
    uint64_t parsed_seen, parsed_ns; /* receive position, and since when it stands inside of a PDU */
    uint64_t taken_seen, taken_ns;   /* send position, and since when it stands with more to send */
    uint64_t excused_ns;             /* before that the peer owes nothing */
    uint64_t nop_interval_ns, nop_timeout_ns;
    uint32_t nop_tag, nop_last_tag;  /* TTT of the open ping (0: none), of the last one */
    uint32_t rejects;
    uint32_t told_s, told;           /* lines in the log about task management in this second */
    uint32_t exp_stat_sn;            /* as the initiator last said */
    uint32_t fence_stat_sn;          /* ... and as it has to say: fence.c */
    uint8_t fence;
    struct text_run *text;           /* a text exchange under way */
    char peer[64], portal[64];       /* for the log */
    const char *end_reason;          /* why it is being closed */
    struct reactor_task late;        /* closing it, off the stack of what found the reason */
    struct reactor *home;            /* the acceptor's */
    void (*gone)(struct connection *c); /* on `home`: the stream is closed */
    struct reactor_message message;  /* attach, then gone */
    struct reactor_message close_message; /* connection reinstatement */
    bool close_asked;                /* close_message is under way */
    bool gone_waits;                 /* ... and the connection is gone meanwhile */
};

/* ---- session ---- */

struct session {
    struct list link;                /* engine->sessions */
    struct engine *engine;           /* where it lives */
    struct registry_entry *entry;    /* the registry's own */
    struct session_record *record;
    uint32_t index;
    struct scsi_nexus *nexus;        /* NULL: discovery */
    struct iscsi_params params;
    char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1];
    uint8_t isid[ISCSI_ISID_BYTES];
    uint16_t tsih, portal_group_tag;
    /* Who its first connection proved to be: the registry's, for those that join (RFC 7143 9.2.1). A
       successor does not know it (0) and compares names alone, as on a target that is open. */
    uint32_t identity;
    bool discovery;
    bool closing;                    /* no new command; ends when nothing is left */
    bool stopping;                   /* the daemon stops */
    bool leaving;                    /* logged out as a whole: its connections end one by one */
    const char *end_reason;

    uint32_t window;                 /* commands at a time */
    uint32_t exp_cmd_sn, max_cmd_sn;
    uint32_t outstanding;            /* delivered, not yet answered */
    uint32_t running;                /* of TASK_SCSI: for ORDERED */
    uint32_t ordered_running;
    struct session_counters *counters; /* in the record */
    struct list blocked;
    struct list paused;              /* paused.c: commands for units that are held */
    bool resuming;                   /* command_run_paused() is at work */
    struct list waiting;             /* functions that wait for the commands before them */
    uint8_t fence;                   /* fence.c: ... */
    bool fence_looking;
    uint64_t fence_since_ns;
    struct task *fenced;             /* the answer that waits for acknowledgements (FENCE_BEFORE) */
    struct list behind;              /* those that wait for the fence to go */
    bool starting;                   /* command_run_blocked() is at work */
    bool delivering;                 /* command_run_held() is */
    uint32_t held_count;
    uint16_t *held;                  /* by CmdSN % held_size: task index + 1 */
    uint32_t held_size;

    struct task *tasks;
    uint16_t task_count, free_count;
    uint16_t *free_tasks;            /* a stack: few are touched */
    uint16_t *hash;                  /* by ITT: task index + 1 */
    uint32_t hash_mask;

    struct list connections;
    unsigned connection_count;
    unsigned numbers_given;          /* connection numbers, on the login reactor */
    /* Between the registry and the session's reactor. */
    struct reactor *home;            /* the registry's */
    void (*gone)(struct session *s); /* on `home`: nothing of it is left on its reactor */
    bool told;                       /* gone has been posted */
    struct reactor_task over;
    struct reactor_message message;  /* gone */
    struct reactor_message command, stop_command; /* close; finish and close */
    struct registry *registry;
};

/* ---- tasks.c: the session's task table ---- */

/* A free task of that kind for the connection, or NULL. */
struct task *task_take(struct session *s, struct connection *c, enum task_kind kind, uint32_t itt);
/* Gives it back: buffers, tag, window. Not while the unit or the socket has it. */
void task_release(struct task *t);
struct task *task_find(struct session *s, uint32_t itt);
/* Makes it findable by its tag. */
void task_hash(struct task *t);
static inline struct task *task_at(struct session *s, uint32_t index_plus_1)
{
    return &s->tasks[index_plus_1 - 1];
}
/* Its answer is decided: the window slot is free again. */
void task_uncount(struct task *t);
/* The unit is done with it, or will never have it: later tasks may go on. */
void task_stop_running(struct task *t);
/*
 * Ends a task that has no answer yet without one. It is given back now, or when the unit and the
 * socket are done with its buffers; `aborter` (a task of management, or NULL) waits for that.
 */
void task_abort(struct task *t, struct task *aborter);
/* Gives back a task that the unit does not have (any more), as soon as the socket allows. */
void task_drop(struct task *t);

/* Writes how far its data has come into the record, to hold from the next commit on that has these
   positions. */
void task_record_transfer(struct task *t, uint64_t rx_pos, uint64_t tx_pos);

/* The commit that tells a successor of it is still to come. */
static inline bool task_is_unborn(const struct task *t)
{
    const struct connection *c = t->conn;
    return c && c->receiving && t->record->born_pos > stream_committed(&c->stream);
}

/* ---- buffers.c ---- */

/*
 * Memory of at least `bytes` for the task, all or nothing. True: it has it (buf, iov, capacity).
 * False: queued; command_advance() is called when it is there.
 */
bool buffers_take(struct task *t, uint32_t bytes);
/* It would take the last part of the memory, for a disk that is absent: it ends with TASK SET FULL instead. */
bool buffers_are_for_others(const struct task *t, uint32_t bytes);
void buffers_release(struct task *t);
/* Takes over the buffers that its record names; false: they cannot be. Before the reactor starts. */
bool buffers_adopt(struct task *t);
/* engine->waiter's. */
void buffers_ready(struct bufpool_waiter *waiter, struct buf *buf);
/* The first `bytes` of them as an iovec array of exactly that length in t->iov; returns how many. */
unsigned buffers_iov(struct task *t, uint32_t bytes);
/* Leaves the queue. */
void buffers_cancel(struct task *t);
/* The parts of [offset, offset + bytes) as they lie in the arena; returns how many. */
unsigned buffers_parts(const struct task *t, uint32_t offset, uint32_t bytes, struct stream_part *part);
/* Where offset lies, and how many bytes follow it without a break. */
arena_ref buffers_at(const struct task *t, uint32_t offset, uint32_t *ret_contiguous);

/* ---- session.c ---- */

/* MaxCmdSN as of now: a pure function of the window and what is outstanding; never goes back. */
uint32_t session_max_cmd_sn(struct session *s);
/* Ends the session: tasks, connections; then the registry is told. */
void session_close(struct session *s, const char *reason);
/* The daemon stops: tells the initiator, finishes what runs, then drains. */
void session_stop(struct session *s);
/* Something ended; looks whether the session is over. */
void session_check_gone(struct session *s);
/* A task was given back: whoever waited for one goes on. */
void session_task_freed(struct session *s);

/* ---- connection.c ---- */

extern const struct stream_ops connection_stream_ops;
/* Ends it at once. */
void connection_close(struct connection *c, const char *reason);
/* Ends it after what is queued has been sent. The worker may die over that: the next one goes on with it. */
void connection_drain(struct connection *c, const char *reason);
/* Ends it with the PDU of `with` that is being handled: not before that one's commit. */
void connection_leave(struct connection *c, const struct connection *with, const char *reason);
/* Sends what it can of the output list. */
void connection_output(struct connection *c);
void connection_output_task(struct task *t);

/* ---- deadline.c ---- */

/* connection->timer's. */
void deadline_fired(struct timer *timer);
/* Starts it: what the peer owes is counted from now on. */
void deadline_start(struct connection *c);

/* ---- receive.c ---- */

void receive_run(struct connection *c);
void receive_more_run(struct reactor_task *task);
/* The engine was frozen: looks at what has come. */
void receive_resume_parsing(struct connection *c);
/* A task or a buffer it waited for is there. */
void receive_resume(struct connection *c);

/* A PDU whose header is complete; `data` is NULL while its data segment is still to come. */
struct pdu {
    const uint8_t *bhs;
    const uint8_t *ahs;
    uint32_t ahs_bytes;
    const uint8_t *data;
    uint32_t data_bytes;
    bool data_bad;                   /* data digest error: do not use it */
};

/* What is to happen to the data segment (or the PDU) after its header has been looked at. */
enum pdu_verdict {
    PDU_DONE,    /* handled with all its data (only with data != NULL or data_bytes 0) */
    PDU_PLACE,   /* into c->segment_task at segment_offset, segment_placed bytes; rest discarded */
    PDU_DISCARD, /* read and forget */
    PDU_WAIT,    /* as PDU_PLACE, when c->segment_task has its buffers (receive_resume() says so) */
    PDU_STALL,   /* not handled at all: come back with the same header after receive_resume() */
    PDU_CLOSE,   /* the connection is being closed */
};

/* ---- command.c, transfer.c ---- */

enum pdu_verdict command_receive(struct connection *c, const struct pdu *pdu);
enum pdu_verdict data_out_receive(struct connection *c, const struct pdu *pdu);
/* The segment of c->segment_task is in place (or, bad, is not). */
void command_segment_done(struct connection *c, struct task *t, const uint8_t *bhs, bool bad);
/* Looks at a task after anything that may let it go on. */
void command_advance(struct task *t);
void command_deliver(struct task *t);
/* Sets what makes it the same command for a worker that executes it again (scsi/once.h). */
void command_identify(struct task *t);
void command_execute(struct task *t, unsigned iov_count);
/* scsi_command.done of every task. */
void command_done(struct scsi_command *cmd);
/* Runs held tasks that are due, and blocked ones. */
void command_run_held(struct session *s);
void command_run_blocked(struct session *s);
/* Its place in the order has come, and its unit is not held. */
void command_begin(struct task *t);

/* ---- paused.c ---- */

bool command_pause_slow(struct task *t);
/* True: its unit is held, or it stands behind others that waited for that: it waits, too. */
static inline bool command_pause(struct task *t)
{
    return __builtin_expect(
               atomic_load_explicit(&t->session->nexus->target->holds, memory_order_relaxed) != 0 ||
                   !list_empty(&t->session->paused),
               0) &&
           command_pause_slow(t);
}
/* On the engine's reactor: units are held no more. */
void engine_run_paused(struct engine *e);
/* The task ends with this CHECK CONDITION instead of being executed. */
void command_fault(struct task *t, uint8_t key, uint8_t asc, uint8_t ascq);
/*
 * Sets c->segment_* for a segment at t->received and says what to do with it. When there is no memory the
 * connection waits; relief.c looks that it does not wait for ever.
 */
enum pdu_verdict command_place(struct connection *c, struct task *t, uint32_t bytes);
/* Behind what the connection receives now, for `t`, there is data of others that have memory, or wait for it. */
bool command_must_pass(const struct connection *c, const struct task *t);
/* The segment that it waits to receive is passed over; `t` ends with TASK SET FULL. */
void command_no_room(struct connection *c, struct task *t);

/* ---- relief.c ---- */

/* The connection waits for memory and must pass (command_must_pass()). False: it does not wait, for there
   has been none. */
bool relief_wait(struct connection *c);
void relief_fired(struct timer *timer);
/* A burst of Data-Out has grown by a PDU (its `received` is up to date). */
void transfer_data_out_done(struct task *t, const uint8_t *bhs);
/* Asks for what is missing, as far as MaxOutstandingR2T allows. */
void transfer_advance(struct task *t);
/* Sends as many R2Ts as are due; false: no room in the transmit queue. */
bool transfer_r2t(struct task *t);
/* Data-In and status of an ended command; false: no room, again when writable. */
bool answer_emit(struct task *t);

/* ---- fence.c ---- */

bool fence_answer_slow(struct task *t);
/* Something was acknowledged or sent, or a connection is gone: looks how far the fence is. */
void fence_look(struct session *s);
/*
 * The answer of this command, or of a function (its bhs is made), is decided. True: it must not go out
 * yet, and will when it may; its state is TASK_ANSWER. False: the caller sends it.
 */
static inline bool fence_answer(struct task *t)
{
    return __builtin_expect(t->session->params.task_reporting != ISCSI_REPORTING_RFC3720, 0) &&
           fence_answer_slow(t);
}

/* ---- the other PDUs ---- */

enum cmd_sn_verdict { CMD_SN_DUE, CMD_SN_HOLD, CMD_SN_IGNORE };
/* The CmdSN rules (RFC 7143 4.2.2.1) for a PDU that carries one; a due one is taken. */
enum cmd_sn_verdict session_cmd_sn(struct connection *c, const uint8_t *bhs);

/* The same for everything but SCSI commands, which act at once even when their number is not due
   (then a TASK_NUMBER keeps its place); false: ignore the PDU. */
bool session_take_cmd_sn(struct connection *c, const uint8_t *bhs);
/* The second half of it, for a command that is refused after its number was looked at. */
bool session_use_cmd_sn(struct connection *c, const uint8_t *bhs, enum cmd_sn_verdict verdict);
/* No PDU needs more tasks than this: with fewer free it is stalled. */
#define SESSION_TASKS_A_PDU 3u
static inline bool session_short_of_tasks(const struct session *s)
{
    return s->free_count < SESSION_TASKS_A_PDU;
}
/* A held task that is no SCSI command is due. */
void session_run_other(struct task *t);

enum pdu_verdict nop_out_receive(struct connection *c, const struct pdu *pdu);
void nop_segment_done(struct task *t, bool bad);
void nop_ping(struct connection *c);
enum pdu_verdict management_receive(struct connection *c, const struct pdu *pdu);
void management_run(struct task *t);
/* The commands before them may have come: runs the functions that wait for that. */
void management_run_waiting(struct session *s);
/* Nothing is left that the function waits for: answers. */
void management_finish(struct task *t);
enum pdu_verdict text_receive_pdu(struct connection *c, const struct pdu *pdu);
void text_end(struct connection *c);
enum pdu_verdict logout_receive(struct connection *c, const struct pdu *pdu);
/* Answers with a Reject that carries the header; `reason` as in wire.h. */
void reject_send(struct connection *c, const uint8_t *bhs, uint8_t reason);
/* The next reject has its line in the log: a peer that does nothing else must not fill it. */
static inline bool reject_is_told(const struct connection *c)
{
    return !(c->rejects & 0xff);
}
void async_send(struct connection *c, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3);
/* AsyncEvent 5: the tasks of that LUN on this connection end. */
void async_tasks_end(struct connection *c, uint64_t lun);
/* A task whose answer is one PDU: bhs, answer_data and answer_bytes are set. */
void answer_simple(struct task *t);
bool answer_simple_emit(struct task *t);
