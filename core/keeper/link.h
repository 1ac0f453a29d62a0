/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link between keeper and worker: one SOCK_SEQPACKET socket pair a worker generation, one
 * datagram a message, descriptors by SCM_RIGHTS.
 *
 * Both ends use the same `struct link`. It is used by one thread (the keeper's only one, the
 * worker's control thread), never blocks in send or receive, and queues what the socket does not
 * take at once, up to LINK_QUEUE_MAX messages: a stuck peer costs bounded memory and no time.
 *
 * What either side receives is checked as if it came from a stranger: version, type, length,
 * the number of descriptors, strings that end, no truncation. Whatever fails leaves no descriptor
 * open behind it.
 *
 * Order of a worker's life:
 *   worker: MEMFD_GET... (answered by MEMFD)  READY ......... CLOSED...   STOPPED, exit 0
 *   keeper: GO (the previous generation is really gone)  CONNECTION...  STOP
 * GO may come before or after the worker is otherwise ready; the worker opens LUNs after GO and says
 * READY after that. A worker that cannot start says FAILED and exits. End of file on the link
 * means that the other process is gone.
 */
#pragma once

#include "base/address.h"
#include "base/list.h"
#include "base/status.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define LINK_NAME_MAX  320 /* with the final NUL: "lun:<223 bytes of IQN>/<LUN>" fits */
#define LINK_TEXT_MAX  512
#define LINK_QUEUE_MAX 16384

/* The name of a worker's process; of one in reserve, whose first argument it is, too: others ignore that. */
#define WORKER_NAME       "holdfast-worker"
#define WORKER_SPARE_NAME "holdfast-spare"
#define WORKER_AGAIN_NAME "holdfastd-again" /* argv[0] alone: it follows one that is dead */

/* A worker finds its descriptors here after exec. */
#define LINK_WORKER_FD_LINK      3
#define LINK_WORKER_FD_TOMBSTONE 4 /* write end; registered in every ring, then closed */
#define LINK_WORKER_FD_CONFIG    5 /* sealed memfd: the text of the configuration file */
#define LINK_WORKER_FD_CONTROL                                                                     \
    6 /* listening UNIX socket of holdfastctl; closed when there is none */

/*
 * Before GO, after AFTER, the worker may write this byte to its tombstone: the state memory says that nothing
 * the dead worker had under way can still write to storage or read from it, and the rings of that one need
 * not be waited for.
 */
#define LINK_NOTHING_LASTS "-"

enum link_type {
    /* keeper to worker */
    LINK_GO = 1,         /* storage may be opened: no earlier generation can write any more */
    LINK_CONNECTION = 2, /* + fd: an accepted connection */
    LINK_STOP = 3,       /* finish, flush, close in order; then STOPPED and exit 0 */
    LINK_MEMFD = 4,      /* + fd when error == 0: the answer to MEMFD_GET, in order */
    LINK_RELOAD = 5,     /* + fd: sealed memfd with a new configuration: prepare for it */
    LINK_FREEZE =
        6, /* a new worker is ready to go on: hold still; then FROZEN and exit, or FREEZE_FAILED */
    LINK_AFTER =
        7, /* before GO, when a worker has died: how; whom to blame is in the state memory */
    LINK_FENCE = 8,    /* the answer to an ASK about the fence */
    LINK_UPGRADE = 9,  /* the answer to an ASK about an upgrade */
    LINK_EXPORT = 10,  /* as FREEZE, for a worker with another layout of memory: then IMAGE */
    LINK_IMPORT = 11,  /* + fd: that image; to the new worker, before GO */
    LINK_LET_GO = 12,  /* it has been read: FROZEN and exit */
    LINK_GO_ON = 13,   /* it is of no use: go on as before */
    LINK_STATUS = 14,  /* the answer to STATUS_GET */
    LINK_AMENDED = 15, /* the answer to AMEND */
    LINK_COMMIT = 40,  /* the answer to RELOAD_READY: put it into effect, or text says why not */
    LINK_RELOAD_FAILED =
        41, /* the answer to RELOAD_ASK when it comes to no RELOAD; text says why */
    /* worker to keeper */
    LINK_READY = 16,  /* the whole configuration is applied: accept */
    LINK_FAILED = 17, /* cannot start; reasons are on stderr, the first one in text */
    LINK_CLOSED = 18, /* the worker is done with a slot and has shut the socket down */
    LINK_MEMFD_GET = 19,
    LINK_STOPPED = 20,       /* everything is flushed and closed; exit follows */
    LINK_PREPARED = 21,      /* configuration read, memory mapped, rings made: waits for GO */
    LINK_FROZEN = 22,        /* nothing is touched any more: another worker may have GO */
    LINK_FREEZE_FAILED = 23, /* goes on as before; text says why */
    LINK_IMAGE = 24,         /* + fd: the state as it is; holds still until LET_GO or GO_ON */
    LINK_IMPORTED = 25,      /* the image has become this worker's state (else FAILED) */
    LINK_STATUS_GET = 30,
    LINK_RELOAD_ASK = 42, /* (+ fd: this text in place of the file) */
    LINK_RELOAD_READY =
        43, /* the answer to RELOAD: nothing can fail any more; or text says what does */
    LINK_RELOADED = 44,   /* after COMMIT: it is in effect; text: but for this */
    LINK_MEMFD_DROP = 45, /* a LUN is gone for good: nobody will ask for its memory */
    LINK_MEMFD_REMOVE =
        46, /* a LUN is gone, but what was read of it is still sent from its memory: from now on that
               has its number alone, until that is dropped */
    LINK_MEMFD_HOLD =
        47, /* a LUN is absent: what there is of its memory is to be there when it comes back */
    LINK_AMEND = 31,      /* a LUN's size in the configuration that later workers get */
    LINK_ASK = 32,        /* what an administrator wants of the keeper; answered at once */
    /* one each way */
    LINK_PING = 50, /* do you live? */
    LINK_PONG = 51, /* the answer: every reactor has gone round */
};

struct link_connection {
    uint32_t slot;              /* the keeper's name of this connection until CLOSED */
    uint32_t listener;          /* which address of the portal, in file order */
    uint32_t held;              /* 1: an earlier worker had it; comes before GO */
    char portal[LINK_NAME_MAX]; /* the portal's key in the configuration */
    struct address peer;
};

/*
 * "number:5" in GET: the memory of a removed LUN, whose number was 5 (as large as it is; nothing `existed`: there is
 * none); in DROP: nothing is sent from it any more. "lun:" in DROP: the worker has named all its LUNs; memory of
 * LUNs that it has neither asked for nor held is of none.
 */
#define LINK_NUMBER_PREFIX "number:"
#define LINK_ALL_OTHERS    "lun:"

struct link_memfd_get {
    uint64_t bytes;
    uint32_t id;              /* the worker's own; repeated in the answer */
    char name[LINK_NAME_MAX]; /* "lun:..." persists over generations, all else is fresh */
};

struct link_memfd {
    uint64_t bytes;
    uint32_t id;
    int32_t error;    /* 0 or negative errno (then there is no fd) */
    uint32_t existed; /* 1: holds what an earlier generation left in it */
    uint32_t number;  /* of "lun:..." ones: the same for every generation, no two have the same */
};

#define LINK_CAN_PATCH  1u /* RELOAD_ASK may be `patched` */
#define LINK_CAN_REMOVE 2u /* MEMFD_REMOVE, and numbers */
#define LINK_CAN_HOLD   4u /* MEMFD_HOLD */

/* What may happen to what is in use and goes away. */
struct link_reload {
    uint32_t force; /* 1: it ends at once; also, disks may become smaller */
    uint32_t
        drain_ms;   /* it ends when its initiators have left it, or after this time; 0: refused */
    uint32_t asked; /* 1: the answer to RELOAD_ASK */
    uint32_t write; /* 1: the text takes the place of the file when it is in effect */
    /*
     * 1: one target has changed, and the worker says where. What comes with RELOAD_ASK is not the new text but
     * `length` bytes in place of `cut` at `at` in the text now in effect (which has so many bytes and that
     * checksum: keeper and worker mean the same), and behind them a small configuration: all but the targets, and
     * that one with its neighbours. RELOAD is 1 when that is what it answers.
     */
    uint32_t patched;
    uint32_t crc;     /* CRC32C */
    uint32_t targets; /* how many there are then */
    uint64_t bytes, at, cut, length;
};

#define LINK_OK 1u
#define LINK_OK_HANDOVER                                                                           \
    2u /* nothing is to be done but a hand-over to a worker with that configuration */

struct link_verdict {
    uint32_t ok;              /* 0, or LINK_OK, LINK_OK_HANDOVER */
    char text[LINK_TEXT_MAX]; /* not ok: why not; COMMIT, OK_HANDOVER: the number of the upgrade */
};

struct link_amend {
    uint64_t bytes;
    uint32_t lun;
    char target[LINK_NAME_MAX];
};

#define LINK_HOW_MAX     STATUS_TEXT_MAX
#define LINK_VERSION_MAX 32

/* What only the keeper knows, for people and for metrics. */
struct link_status {
    uint64_t uptime_ns;      /* of the keeper */
    uint64_t refused;        /* connections turned away: too many, or no descriptors */
    uint32_t generation;     /* of the newest worker */
    uint32_t deaths;         /* workers that ended without having been told to */
    uint32_t held, held_max; /* duplicates of connections, now and at most */
    struct status_pauses upgrades, restarts; /* restart: after a death */
    struct status_fence fence;
    char how[LINK_HOW_MAX];         /* the last of them ended, "signal 9 (Killed)"; "": none has */
    struct status_pauses keepers;   /* the keeper itself became another binary, or could not */
    char version[LINK_VERSION_MAX]; /* of the keeper's binary */
};

enum link_what {
    LINK_FENCE_SHOW = 1,
    LINK_FENCE_RAISE,
    LINK_FENCE_LOWER,
    LINK_UPGRADE_SHOW,
    LINK_UPGRADE_BEGIN,
};

struct link_ask {
    uint32_t id;   /* the worker's own; repeated in the answer */
    uint32_t what; /* enum link_what */
    char path
        [LINK_TEXT_MAX];  /* UPGRADE_BEGIN: the binary; "": what lies where the daemon's own did */
    uint32_t worker_only; /* UPGRADE_BEGIN: the keeper stays what it is */
};

#define LINK_WORD_MAX 64

/* The fence as it is, after the attempt to do what was asked. Durations in nanoseconds. */
struct link_fence {
    uint32_t id;
    int32_t error; /* 0 or negative errno: raising or lowering was not even begun */
    uint32_t configured, up, wanted;
    uint32_t busy; /* something is being done about it now */
    uint64_t up_ns, left_ns, up_total_ns;
    uint64_t raised, renewed, lowered, failed, timeouts;
    char plugin[LINK_WORD_MAX], reason[LINK_WORD_MAX], last_error[LINK_WORD_MAX];
};

enum link_upgrade_state {
    LINK_UPGRADE_NONE, /* there was none */
    LINK_UPGRADE_PREPARING,
    LINK_UPGRADE_FREEZING,
    LINK_UPGRADE_TAKING_OVER,
    LINK_UPGRADE_DONE,
    LINK_UPGRADE_FAILED,
};

/* Of an upgrade whose worker serves: does the keeper follow it? */
enum link_keeper {
    LINK_KEEPER_SAME, /* it has that binary already, or is to keep its own */
    LINK_KEEPER_PENDING,
    LINK_KEEPER_DONE,
    LINK_KEEPER_FAILED, /* it stays what it was */
};

/* The upgrade under way, or the last one. */
struct link_upgrade {
    uint32_t id;
    uint32_t number;          /* of all that were begun, from 1 */
    uint32_t state;           /* enum link_upgrade_state */
    uint32_t generation, pid; /* of the new worker; 0: none was started */
    uint64_t pause_ns;        /* from FREEZE to ready; 0: not yet */
    char binary[384];
    char why[LINK_TEXT_MAX - 64]; /* FAILED: the reason */
    uint32_t keeper;              /* enum link_keeper */
    char keeper_why[96];          /* KEEPER_FAILED: the reason */
};

struct link_message {
    enum link_type type;
    int fd; /* -1: none. Received: owned by the receiver */
    union {
        struct link_connection connection;
        struct link_memfd_get memfd_get;
        struct link_memfd memfd;
        struct link_status status;
        struct link_amend amend;
        struct {
            uint32_t number; /* of the PING */
        } ping;
        struct link_ask ask;
        struct link_fence fence;
        struct link_upgrade upgrade;
        struct {
            uint32_t can; /* what this keeper understands: LINK_CAN_... */
        } go;
        struct link_reload reload;   /* RELOAD, RELOAD_ASK */
        struct link_verdict verdict; /* COMMIT, RELOAD_READY, RELOADED */
        struct {
            char name[LINK_NAME_MAX];
        } memfd_drop; /* MEMFD_REMOVE, too */
        struct {
            int32_t error; /* 0 or negative errno; -ENOENT: there is no size in it */
        } amended;
        struct {
            uint32_t slot;
        } closed;
        struct {
            uint32_t deadline_ms; /* after this the keeper kills */
        } stop;
        struct {
            uint32_t
                crashed; /* 1: by a fault of its own (SIGSEGV, SIGABRT …), not by SIGKILL, and its
                                  binary has proved itself: what it worked on is to blame */
            uint32_t failures; /* deaths in a row */
            uint32_t
                unsettled; /* 1: it was about to give LUNs the sizes that the configuration now has */
        } after;
        struct {
            uint32_t deadline_ms;
        } freeze; /* EXPORT, too */
        struct {
            uint64_t layout; /* of the state memory: workers of one layout can follow each other */
        } prepared;
        struct {
            uint32_t clean; /* 1: no I/O of its rings is left, not even in the kernel */
        } frozen;
        struct {
            char text[LINK_TEXT_MAX];
            uint32_t
                whole; /* RELOAD_FAILED of what is `patched`, 1: ask again with the whole text */
        } failed;      /* FREEZE_FAILED, RELOAD_FAILED, too */
    };
};

struct link {
    int fd;             /* owned; -1: closed */
    struct list outbox; /* not yet taken by the socket */
    struct list inbox;  /* set aside by link_get_memfd() */
    unsigned queued;
    bool stalled; /* the kernel's limit of descriptors in flight: retry by time */
};

#define LINK_STALL_RETRY_MS 20

/* Two connected, non-blocking, close-on-exec ends; 0 or negative errno. */
int link_pair(int ret_fd[2]);
/* Takes over `fd` and makes it non-blocking and close-on-exec. */
void link_init(struct link *link, int fd);
/* Closes the socket and every descriptor still queued; may be called twice. */
void link_deinit(struct link *link);

/*
 * Sends or queues. `m->fd` is duplicated or sent, never taken over: the caller still owns it.
 * 0; -ENOBUFS when the queue is full; -EPIPE when the peer is gone; or another negative errno.
 */
int link_send(struct link *link, const struct link_message *m);
/* Sends what is queued as far as the socket takes it (call on POLLOUT, or after a stall); as above. */
int link_flush(struct link *link);
/* What to poll link->fd for: POLLIN, and POLLOUT while something is queued and not stalled. */
short link_poll_events(const struct link *link);

/*
 * The next message: 1 and *ret_message, 0 when there is none now, -EPIPE at end of file, -EBADMSG
 * for a message that does not hold the rules above (the link is then useless: close it).
 */
int link_receive(struct link *link, struct link_message *ret_message);
/* True when link_receive() has something without the socket being readable (after link_get_memfd). */
bool link_has_inbox(const struct link *link);

/*
 * Worker: asks the keeper for a memfd and waits for the answer up to timeout_ms; other messages that
 * arrive meanwhile are kept for link_receive(). Control thread, start and LUN opening only.
 * 0 and the descriptor (the caller owns it), or negative errno (-ETIMEDOUT, -EPIPE, the keeper's).
 * ret_existed and ret_number may be NULL.
 */
int link_get_memfd(struct link *link, const char *name, uint64_t bytes, int timeout_ms, int *ret_fd,
                   bool *ret_existed, uint32_t *ret_number);
