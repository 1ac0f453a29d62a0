/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the keeper's own files share: one struct for the process, one for each descriptor the loop
 * waits on. Times are CLOCK_MONOTONIC nanoseconds; 0 means "not planned".
 */
#pragma once

#include "config/replace.h"
#include "keeper/connections.h"
#include "keeper/control_socket.h"
#include "keeper/keeper.h"
#include "keeper/memory.h"
#include "keeper/portals.h"
#include "keeper/record.h"
#include "keeper/worker.h"

struct keeper;

struct source {
    void (*ready)(struct keeper *k, struct source *s, uint32_t events);
    int fd;
    uint32_t events; /* 0: the loop does not wait on it */
};

struct keeper {
    const struct keeper_args *args;
    int epoll;
    int config_fd; /* sealed memfd: what every worker gets; -1: keeper_config() makes it */
    bool config_kept; /* ... and the next keeper; after a patch (patch.h) that has the file's text */
    int state_lock; /* state_lock.h; -1: none */
    struct source signals;
    uint64_t start_ns;

    struct inheritance inherited; /* at the start: what an earlier keeper has left */
    struct store store;
    struct record record;
    struct store_item *record_stored, *config_stored;
    char config_sum[65]; /* resume_config_sum(); "": not made yet */

    struct control_socket control;
    struct link_status status;   /* its counters; the rest is filled in when a worker asks */
    const struct config *config; /* in effect: args->config, or that of the last reload */
    struct config *own_config;   /* to be freed: that of the last reload */
    unsigned targets;          /* that the text in effect has: `config` may be older in that */
    char *text;                  /* of the file when it was last read or written */
    size_t text_bytes;
    struct config_seen seen; /* the file with that text */
    struct reload *reload; /* reload.c: under way; or NULL */
    bool unsettled;        /* a worker was told to commit and has not said that it has */
    struct portals portals;
    struct source *acceptors; /* one a listener, by its number */
    struct connections connections;
    int reserve_fd; /* given up to be able to turn one connection away */
    bool accepting;
    uint64_t accept_pause_ns; /* no accept before this */
    uint64_t refused, refused_log_ns, shortage_log_ns;

    struct memory memory;
    struct spare {
        struct worker worker;
        struct source exit, link;
        bool prepared;
        uint64_t deadline_ns, next_ns; /* to be prepared; when the next one may start */
        uint64_t started_ns;           /* the last one */
        uint64_t delay_ns;             /* after its next death; 0: the last one lived */
    } spare;
    struct worker worker;
    struct source worker_exit, worker_link, worker_word;
    struct list tombstones;
    uint64_t layout, next_layout; /* of the state memory of the running worker, and the next one */
    enum {
        IMAGE_NONE,
        IMAGE_EXPORTING,
        IMAGE_IMPORTING,
        IMAGE_COMMITTED
    } image; /* of an upgrade */

    enum { UPGRADE_NONE, UPGRADE_PREPARING, UPGRADE_FREEZING } upgrade;
    struct link_upgrade report; /* the upgrade under way, or the last one */
    struct worker next, old;    /* on its way in; on its way out */
    struct source next_exit, next_link, old_exit;
    char *exe_path; /* what lies on disk under our name */
    int exe, next_exe,
        previous_exe; /* binaries: of the worker, of the next, of the one before; or -1 */
    struct {
        enum { RENEW_NONE, RENEW_WAITING, RENEW_TRYING, RENEW_TRIED } state;
        bool spare; /* of this upgrade: the keeper stays what it is */
        bool back;  /* the worker's was taken back: with the next one that is ready we are, too */
        int self;   /* our own binary */
        pid_t pid;  /* of the child that tries the new one; 0: none */
        int pidfd;
        struct source exit;
        uint64_t deadline_ns; /* of the state */
    } renew;
    uint64_t upgrade_deadline_ns, old_deadline_ns, take_over_deadline_ns, freeze_ns, upgraded_ns;
    struct {
        uint32_t number;            /* of the last question */
        uint64_t asked_ns, next_ns; /* asked_ns 0: answered */
    } pulse;
    unsigned generation; /* of the newest worker */
    unsigned failures;   /* deaths since a worker last ran well */
    uint64_t spared_ns;  /* when the deaths by others' hands so far will have been forgotten */
    uint64_t restart_ns;
    uint64_t reap_ns; /* when to try again to reap the dead worker */
    bool ever_ready;
    bool died, crashed;   /* the last worker; for the next one */
    bool same_binary;     /* ... is of the same binary as that one: it knows what it has left */
    bool binary_to_blame; /* it was of a new binary that has not proved itself */
    uint64_t down_ns;    /* a worker died then, and none has been ready since; 0: one is */
    struct fence *fence; /* NULL: none is configured */
    struct trial *trial; /* of plugins; NULL: none is under way */
    bool reload_again;   /* SIGHUP came while a reload was under way */

    uint64_t told_ns; /* when the last signal came that said to stop */
    uint32_t told_by; /* ... and which; 0: none */
    bool stopping;
    bool leaving;        /* all goes to the service manager, and we end */
    uint64_t leave_ns;   /* ... then at the latest */
    uint64_t give_up_ns; /* while stopping: do not wait for tombstones after this */
    bool done;
    int exit_code;
};

/* Waits on `fd` for `events` from now on; 0: no longer. Negative errno only for a new one. */
int source_watch(struct keeper *k, struct source *s, int fd, uint32_t events);

/* keeper.c: a sealed memfd with this text. 0 or negative errno. */
int config_seal(const char *text, size_t bytes, int *ret_fd);
/* k->config_fd, or negative errno. */
int keeper_config(struct keeper *k);
void keeper_config_forget(struct keeper *k);

/* supervise.c */
void supervise_init(struct keeper *k);
void supervise_deinit(struct keeper *k);
void supervise_start(struct keeper *k);
/* The worker is told to stop, or killed when it has been told before. */
void supervise_stop(struct keeper *k);
/* Does what is due; returns when something will be, or UINT64_MAX. */
uint64_t supervise_tick(struct keeper *k, uint64_t now_ns);
/* After something was sent: the loop waits for room when the link is full. */
void supervise_link_update(struct keeper *k);
/* How long to wait after so many deaths in a row; the first is restarted at once. */
unsigned supervise_delay_ms(unsigned failures);

/* Another pause has ended, which began then. */
void supervise_count_pause(struct status_pauses *pauses, uint64_t begun_ns, uint64_t now_ns);
/* For upgrade.c: to the worker; GO as soon as nothing earlier can write; its tombstone counts. */
void supervise_tell(struct keeper *k, const struct link_message *m);
void supervise_go(struct keeper *k);
void supervise_mourn(struct keeper *k, struct worker *w);
/* The end of the loop, when we stop and nothing is left to wait for. */
void supervise_finish_if_stopped(struct keeper *k);

/* Memory for this worker, which has asked for it. */
void supervise_memfd_get(struct keeper *k, struct worker *w, const struct link_memfd_get *get);

/* spare.c */
void spare_init(struct keeper *k);
uint64_t spare_tick(struct keeper *k, uint64_t now);
/* What it was made of is about to change: it goes, and another one comes later. */
void spare_discard(struct keeper *k);
/* The same for a configuration, which may change again soon. */
void spare_config_changed(struct keeper *k);
/* It becomes k->worker, which is none; false: there is none that could. */
bool spare_take(struct keeper *k);

/* tombstone.c: takes over fd and the store's item. */
void tombstone_add(struct keeper *k, int fd, unsigned generation, struct store_item *stored);
uint64_t tombstones_tick(struct keeper *k, uint64_t now);
void tombstones_deinit(struct keeper *k);
/* None of those that are there now has anything to wait for; does any of them? */
void tombstones_are_harmless(struct keeper *k);
bool tombstones_wait(const struct keeper *k);

/* resume.c: what an earlier keeper has left, before and after the portals are there. */
void resume_begin(struct keeper *k);
void resume_finish(struct keeper *k);
/* The configuration that later workers get is another one. */
void resume_config_changed(struct keeper *k);
/* Of k->text, made when it is first asked for. */
const char *resume_config_sum(struct keeper *k);

/* upgrade.c */
void upgrade_init(struct keeper *k);
void upgrade_deinit(struct keeper *k);
/*
 * To this binary; NULL: to what lies now where ours did. NULL, or why it was not even begun; what becomes
 * of it is in k->report. `worker_only`: the keeper does not follow.
 */
const char *upgrade_begin(struct keeper *k, const char *path, bool worker_only);
/* To another worker of the same binary, with this configuration, for reload.c: when nothing else is under way. */
void upgrade_begin_config(struct keeper *k, int config_fd);
/* The old worker goes on, because of `why`; nothing when none is under way. */
void upgrade_abandon(struct keeper *k, const char *why);
void upgrade_frozen(struct keeper *k, bool clean);
/* The old worker's image, for one with another layout of its memory. The descriptor stays the caller's. */
void upgrade_image(struct keeper *k, int fd);
void upgrade_freeze_failed(struct keeper *k, const char *why);
void upgrade_ready(struct keeper *k);
void upgrade_death(struct keeper *k);
uint64_t upgrade_tick(struct keeper *k, uint64_t now_ns);

/* renew.c: our own binary. */
void renew_init(struct keeper *k);
void renew_deinit(struct keeper *k);
/* A worker is ready after an upgrade or what has become of one: we follow it. */
void renew_consider(struct keeper *k);
/* Something else is more important. */
void renew_abandon(struct keeper *k);
bool renew_same_file(int a, int b);
uint64_t renew_tick(struct keeper *k, uint64_t now_ns);

/* adopt.c: after the connections are there: the worker and what else `h` says. 0 or negative errno. */
int adopt(struct keeper *k, const struct heritage *h);

/* ask.c: the answer to what an administrator asks of us. */
void ask_answer(struct keeper *k, const struct link_ask *ask);

/* reload.c */
void reload_init(struct keeper *k);
void reload_deinit(struct keeper *k);
/* SIGHUP. */
void reload_begin(struct keeper *k);
/* Begins another one when SIGHUP has come during the last. */
void reload_tick(struct keeper *k);
/* Of the worker: a client of its wants one; it is ready for one, or not; it has carried it out. */
void reload_ask(struct keeper *k, const struct link_message *m);
void reload_prepared(struct keeper *k, const struct link_verdict *verdict);
void reload_done(struct keeper *k, const struct link_verdict *verdict);
/* The upgrade under way has begun for a reload; it came to nothing; the new worker is ready. */
bool reload_is_handover(const struct keeper *k);
void reload_handover_failed(struct keeper *k);
void reload_handed_over(struct keeper *k);
/* How much longer the worker may be silent, as it reads a configuration. */
uint64_t reload_reading_ns(const struct keeper *k);
/* The worker has died. */
void reload_death(struct keeper *k);

/* pulse.c: does the worker live? */
void pulse_heard(struct keeper *k, uint32_t number);
uint64_t pulse_tick(struct keeper *k, uint64_t now_ns);

/* leave.c: SIGUSR1. Everything stays as it is, in the hands of the service manager, and we end. */
void leave_begin(struct keeper *k);
/* The worker holds still, cannot, or is gone: the end. */
void leave_now(struct keeper *k);
uint64_t leave_tick(struct keeper *k, uint64_t now_ns);

/* accept.c */
void accept_init(struct keeper *k);
/* Other listening sockets in place of k->portals, which are closed as far as they are not the same. */
void accept_change(struct keeper *k, struct portals *portals);
/* As many connections as the configuration now says. */
void accept_change_limit(struct keeper *k);
/* Accepts exactly while a worker is ready and neither link nor descriptors are short. */
void accept_update(struct keeper *k);
/* Before GO: every connection held from earlier workers goes to the new one; how many. */
uint32_t accept_hand_over(struct keeper *k);
/* A new worker is ready: what becomes of the connections held so far; how many were closed. */
uint32_t accept_pass_on(struct keeper *k);
uint64_t accept_tick(struct keeper *k, uint64_t now_ns);
/* Closes the listeners. */
void accept_deinit(struct keeper *k);

/* keeper.c: begins an orderly stop (called again: a quick one); the end of the loop. */
void keeper_stop(struct keeper *k);
void keeper_finish(struct keeper *k, int exit_code);
