/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holdfast plugin API, version 1: what every plugin exports, and what the daemon gives it.
 *
 * A plugin is a shared object with one exported function, hf_plugin_v1(), that returns a constant
 * struct hf_plugin. What follows from its kind is in handler.h (storage), auth.h and fence.h.
 *
 *   file name      handlers NAME.so, auth plugins auth-NAME.so, fence plugins fence-NAME.so, in a
 *                  directory of `plugin-path` or a folder NAME below it
 *   loaded         once a process, with RTLD_NOW | RTLD_LOCAL, and never unloaded
 *   linked         with -z defs: a plugin takes nothing from the daemon but struct hf_host
 *
 * Rules of the ABI, for every struct here and in the headers of the kinds:
 *   - it starts with its own size in bytes (`size`), set by whoever makes it, and grows only at
 *     its end. The reader copies the smaller size into a zeroed struct of its own, so a field that
 *     the maker does not know is 0; rows of a table are as far apart as their `size` says;
 *   - integers have fixed widths; a "bool" is a uint32_t that is 0 or 1;
 *   - strings are UTF-8 and end with NUL;
 *   - functions return 0 or a negative errno (-ENOSPC); texts for people go through host->fail();
 *   - pointers that the daemon passes in are valid until the call returns unless said otherwise.
 *
 * The headers are C11 and compile as C++. They need POSIX <sys/uio.h> and nothing else.
 */
#ifndef HOLDFAST_PLUGIN_H
#define HOLDFAST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A daemon loads plugins of its own major version, whatever their minor is. */
#define HF_API_MAJOR 1
#define HF_API_MINOR 2

#if defined(__GNUC__)
#define HF_EXPORT             __attribute__((visibility("default")))
#define HF_FORMAT(text, args) __attribute__((format(printf, text, args)))
#else
#define HF_EXPORT
#define HF_FORMAT(text, args)
#endif

struct hf_host;
struct hf_error;     /* where host->fail() puts its text; the daemon's, opaque */
struct hf_lun;       /* handler.h: a LUN as the daemon sees it; opaque */
struct hf_lun_info;  /* handler.h */
struct hf_queue;     /* handler.h: a LUN on one reactor as the daemon sees it; opaque */
struct hf_lower_config; /* an HF_OPTION_HANDLER: a handler and its options; opaque */
struct hf_lower;     /* handler.h: the LUN below one that wraps it; opaque */
struct hf_lower_io;  /* handler.h */
struct hf_space;     /* handler.h */
struct hf_auth;      /* auth.h: one authentication as the daemon sees it; opaque */

/* ---------------------------------------------------------------------------------- options */

/*
 * Types of an option: what the YAML value looks like, and the field of the config struct it fills.
 * Without a value and without a default the field stays zeroed.
 */
#define HF_OPTION_STRING   1u  /* text                        const char *; never empty */
#define HF_OPTION_PATH     2u  /* absolute file name          const char * */
#define HF_OPTION_SECRET   3u  /* see below                   struct hf_secret */
#define HF_OPTION_UNSIGNED 4u  /* 10                          uint64_t */
#define HF_OPTION_SIZE     5u  /* 512, 64K, 20G (M T; 1024)   uint64_t, bytes */
#define HF_OPTION_DURATION 6u  /* 50us, 10ms, 5s, 2m, 1h      uint64_t, nanoseconds */
#define HF_OPTION_BOOL     7u  /* yes no true false on off    uint32_t, 0 or 1 */
#define HF_OPTION_CHOICE   8u  /* one word of `choices`       uint32_t, index of the word */
#define HF_OPTION_LIST     9u  /* sequence of `item_type`     struct hf_list */
#define HF_OPTION_TABLE    10u /* mapping by `table`          const STRUCT *, NULL when left out */
#define HF_OPTION_HANDLER  11u /* {handler: NAME, options: {…}}  const struct hf_lower_config *; since
                                  API 1.1; what host->lower_open() opens */

/*
 * A secret option called NAME is given as NAME-file: PATH (preferred; refused when others than the
 * owner and group can read it; one final newline is dropped) or as NAME: TEXT, never both.
 * Wiped and freed with the config struct; never logged or printed. At most 4096 bytes.
 */
struct hf_secret {
    const uint8_t *data; /* followed by a NUL that is not counted; NULL when left out */
    uint32_t bytes;
    uint32_t reserved;
};

/*
 * items is an array of `count` fields as the item type says (const char *, uint64_t, …); of a list
 * of tables it is an array of the nested structs themselves.
 */
struct hf_list {
    const void *items; /* NULL when empty */
    uint32_t count;
    uint32_t reserved;
};

/* What a changed value asks of a LUN that is in use. */
#define HF_CHANGE_LIVE     0u /* update() takes it under running I/O */
/* Open, drain, close; when open() says -EBUSY as long as the LUN is open with the old ones: drain, close, open. */
#define HF_CHANGE_REOPEN   1u
#define HF_CHANGE_IDENTITY 2u /* it is another disk */

#define HF_OPTION_REQUIRED 1u /* flags: leaving it out is an error */

#define HF_OPTION_DEPTH_MAX 4u    /* tables in tables */
#define HF_OPTION_ROWS_MAX  64u   /* rows of one table */
#define HF_OPTION_ITEMS_MAX 4096u /* items of one list */

/*
 * One YAML key. A table ends with a row whose name is NULL and whose size is set or 0. The loader
 * refuses a plugin whose table has an unknown type, a field outside its struct or across another
 * one, a name twice, or a default that is not a value of the option.
 */
struct hf_option {
    uint32_t size;              /* sizeof(struct hf_option) */
    uint32_t type;              /* HF_OPTION_* */
    const char *name;           /* lower case, digits and '-'; starts with a letter; 1..63 bytes */
    const char *help;           /* one line for --describe and the manual; never NULL */
    const char *default_value;  /* as in YAML; NULL: none (LIST, TABLE and SECRET have none) */
    uint32_t change;            /* HF_CHANGE_* */
    uint32_t flags;             /* HF_OPTION_REQUIRED */
    uint64_t min, max;          /* both 0: any. The value of UNSIGNED, SIZE, DURATION; the bytes of
                                   STRING, PATH, SECRET; the items of LIST */
    uint64_t offset;            /* of the field in the config struct: offsetof() */
    const char *const *choices; /* CHOICE, or LIST of it: words, ended by NULL */
    const struct hf_option *table; /* TABLE, or LIST of it: the nested rows */
    uint64_t table_bytes;       /* TABLE, or LIST of it: sizeof the nested struct */
    uint32_t item_type;         /* LIST: HF_OPTION_*, but not LIST and not SECRET */
    uint32_t reserved;
};

/* ------------------------------------------------------------------------------------ plugin */

#define HF_KIND_HANDLER 1u /* ops: struct hf_handler_ops */
#define HF_KIND_AUTH    2u /* ops: struct hf_auth_ops */
#define HF_KIND_FENCE   3u /* ops: struct hf_fence_ops */

struct hf_plugin {
    uint32_t size;       /* sizeof(struct hf_plugin) */
    uint16_t api_major;  /* HF_API_MAJOR */
    uint16_t api_minor;  /* HF_API_MINOR of the headers it was built with */
    uint32_t kind;       /* HF_KIND_* */
    uint32_t reserved;
    const char *name;    /* as in its file name and in YAML: "file", "chap"; option name rules */
    const char *version; /* for people */
    const char *summary; /* one line for --list-plugins */
    const struct hf_option *options; /* NULL: it has none */
    uint64_t config_bytes; /* sizeof the struct that `options` fills; 0 without options */
    const void *ops;     /* as `kind` says; never NULL */
    /*
     * Once a process, before any other function of the plugin, on the control thread. `host`
     * stays valid for ever: keep it. NULL when there is nothing to do. 0, or negative errno with
     * host->fail(): the plugin is then not used.
     */
    int32_t (*load)(const struct hf_host *host, struct hf_error *error);
};

/* The one exported symbol. Returns constant data; called once. */
HF_EXPORT const struct hf_plugin *hf_plugin_v1(void);

/* -------------------------------------------------------------------------------------- host */

#define HF_LOG_ERROR   3u
#define HF_LOG_WARNING 4u
#define HF_LOG_NOTICE  5u
#define HF_LOG_INFO    6u
#define HF_LOG_DEBUG   7u

/*
 * A request to the reactor's own ring (ring_read() and so on). It lies in memory of the plugin,
 * usually hf_io.room, that stays until done() is called. One request a struct at a time.
 */
struct hf_ring_op {
    uint32_t size; /* sizeof(struct hf_ring_op) */
    uint32_t reserved;
    /* The plugin's: called once, on the queue's reactor, never from within ring_…(). `result` is a
       number of bytes (reads and writes; may be short), 0, or a negative errno. */
    void (*done)(struct hf_ring_op *op, int32_t result);
    uint64_t room[16]; /* the daemon's */
};

/* A timer of a queue. The same rules; stopped or fired before queue_close() returns. */
struct hf_timer {
    uint32_t size; /* sizeof(struct hf_timer) */
    uint32_t reserved;
    void (*fired)(struct hf_timer *timer); /* on the queue's reactor, not before its time */
    uint64_t room[8]; /* the daemon's; zeroed before the first start */
};

#define HF_RING_DSYNC    1u /* ring_write: RWF_DSYNC; ring_fsync: as fdatasync() */

/*
 * The daemon's services. The table is one a plugin. Every function that takes `host` takes the
 * one that load() was given. All of them may be called on any thread unless said otherwise.
 */
struct hf_host {
    uint32_t size;
    uint16_t api_major, api_minor; /* the daemon's */

    /* One line in the log, named after the plugin. Never for each command, never a secret. */
    void (*log)(const struct hf_host *host, uint32_t level, const char *format, ...) HF_FORMAT(3, 4);
    /*
     * Says why something failed: `return host->fail(error, ENOENT, "%s: no such file", path);`
     * Keeps the text (at most 511 bytes), returns -code. `code` is a positive errno. `error` may
     * be NULL.
     */
    int32_t (*fail)(struct hf_error *error, int32_t code, const char *format, ...) HF_FORMAT(3, 4);

    /* ---- queue handlers ---- */
    /*
     * Ends the I/O called `id` (hf_io.id) with 0 or a negative errno: on the queue's reactor, also
     * from within submit(). Exactly once: a second call is found out, logged and has no effect.
     * The hf_io must not be touched afterwards.
     */
    void (*complete)(struct hf_queue *queue, uint64_t id, int32_t result);
    /* The same from any other thread. */
    void (*complete_remote)(struct hf_queue *queue, uint64_t id, int32_t result);

    /*
     * Asks the queue's reactor for I/O on a descriptor of the plugin: preadv2(), pwritev2(),
     * fsync(), fallocate(). Only on the queue's reactor, from submit(), kick() or done(). Cannot
     * fail: what goes wrong comes as the result. `iov` stays valid until done(). offset and
     * length are bytes. The requests of one turn reach the kernel in one system call. An I/O must not
     * be completed before its ring requests are done. While a queue has requests under way, the number
     * of a descriptor that they use stays the same file, opened in the same way (O_DIRECT or not): by
     * that the daemon knows what may go on in a device after the process has died.
     */
    void (*ring_read)(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                      const struct iovec *iov, uint32_t iov_count, uint64_t offset);
    void (*ring_write)(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                       const struct iovec *iov, uint32_t iov_count, uint64_t offset,
                       uint32_t flags);
    void (*ring_fsync)(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, uint32_t flags);
    /* `mode`: FALLOC_FL_* of <linux/falloc.h>. */
    void (*ring_fallocate)(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, int32_t mode,
                           uint64_t offset, uint64_t length);
    /* A hint: done() still comes, with -ECANCELED or the result. */
    void (*ring_cancel)(struct hf_queue *queue, struct hf_ring_op *op);

    /* ---- LUNs ---- */
    /*
     * The LUN's size, features or sizes of blocks are other than open() said. `info` as open()
     * fills it, and copied. Initiators are told (CAPACITY DATA HAS CHANGED).
     */
    void (*lu_changed)(struct hf_lun *lun, const struct hf_lun_info *info);
    /*
     * Memory that belongs to the LUN and outlives the process: a memfd of `bytes` bytes, the same
     * one again after a restart. Within open() only. 0; *ret_fd is the caller's to close, and
     * *ret_existed (may be NULL) is 1 when it holds what an earlier process left. Or negative errno.
     */
    int32_t (*memfd_get)(struct hf_lun *lun, uint64_t bytes, int32_t *ret_fd,
                         uint32_t *ret_existed, struct hf_error *error);
    /*
     * A few bytes for the next process, within save(), at most 65520 (-EMSGSIZE), the last put counts;
     * and those of the one before, within open(). Only what a new open() cannot know. state_get()
     * returns their number, at most max_bytes, 0 when there are none: also after a crash, and once an
     * open() has succeeded. -ENOTSUP: this daemon does not hand state over.
     */
    int32_t (*state_put)(struct hf_lun *lun, const void *data, uint64_t bytes);
    int64_t (*state_get)(struct hf_lun *lun, void *data, uint64_t max_bytes);

    /* ---- auth plugins ---- */
    /* A step that said HF_AUTH_PENDING can go on: step() will be called again. */
    void (*auth_resume)(struct hf_auth *auth);

    /* ---- since API 1.1: look at `size` or api_minor before ---- */
    /* Fires once in `ns` nanoseconds; started again: then instead. On the queue's reactor. */
    void (*timer_start)(struct hf_queue *queue, struct hf_timer *timer, uint64_t ns);
    void (*timer_stop)(struct hf_queue *queue, struct hf_timer *timer); /* may be stopped already */

    /*
     * Stacking: a handler that wraps another. lower_open() within open() only; `config` is the value
     * of an HF_OPTION_HANDLER, `info` is filled as the lower handler's open() fills it (set its size
     * before), and block size and read-only are those asked of the LUN. The daemon closes it after
     * close(), or when open() fails. 0 and *ret_lower, or negative errno with a text.
     */
    int32_t (*lower_open)(struct hf_lun *lun, const struct hf_lower_config *config,
                          struct hf_lun_info *info, struct hf_lower **ret_lower,
                          struct hf_error *error);
    /* On the queue's reactor, from submit(), kick() or a done(): see struct hf_lower_io. */
    void (*lower_submit)(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io);
    /* A hint: done() still comes, with -ECANCELED or the result. */
    void (*lower_cancel)(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io);

    /* ---- since API 1.2 ---- */
    /* What the LUN below says to space(). Within space() only. `ret_space` as there; 0, or negative
       errno: -ENOTSUP when it cannot tell. */
    int32_t (*lower_space)(struct hf_lower *lower, struct hf_space *ret_space);
};

#ifdef __cplusplus
}
#endif

#endif
