/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How full the storage of LUNs is: handlers are asked in rounds, on the pool, a few LUNs at a time, so that a
 * file system that hangs holds up no more than the rounds. LUNs with thresholds are asked in every round,
 * the others, for log pages and metrics, now and then.
 */
#include <errno.h>

#include "base/log.h"
#include "config/scalar.h"
#include "daemon_private.h"

#define AT_A_TIME    4  /* questions */
#define OTHERS_EVERY 6  /* rounds: LUNs without thresholds */
#define STUCK_ROUNDS 12 /* that cannot begin before it is said */

struct daemon_space {
    unsigned target, lun; /* next to be looked at in the round under way */
    unsigned under_way;   /* questions */
    unsigned rounds, stuck;
    bool all;   /* this round asks all LUNs, … */
    bool again; /* … and so does one right after it */
};

struct daemon_question {
    struct storage_ask ask;
    struct daemon_note note;
    struct daemon *daemon;
    unsigned target, lun; /* where the LUN was */
};

static struct daemon_space *space_of(struct daemon *d)
{
    if (!d->space)
        d->space = g_new0(struct daemon_space, 1);
    return d->space;
}

static bool asks(const struct daemon *d, const struct daemon_lun *l)
{
    return l->unit && l->backend && !l->question && storage_tells_space(l->backend) &&
           (d->space->all || l->config->threshold_count);
}

/* ---- the answer ---- */

static void say(const struct daemon_lun *l, uint32_t bits, bool reached)
{
    for (unsigned i = 0; i < l->config->threshold_count; i++) {
        const struct config_threshold *c = &l->config->thresholds[i];
        g_autofree char *what = c->used_percent ? g_strdup_printf("%u%%", (unsigned)c->used_percent)
                                                : config_format_size(c->available_bytes);
        if (!(bits & 1u << i))
            continue;
        log_write(reached ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "daemon",
                  "%s target=%s lun=%u threshold=%s:%s used=%llu available=%llu",
                  reached ? "storage fills up" : "storage has room again", l->target->config->name,
                  l->config->number, c->used_percent ? "used" : "available", what,
                  (unsigned long long)atomic_load(&l->unit->fill.used),
                  (unsigned long long)atomic_load(&l->unit->fill.available));
    }
}

static void take(struct daemon_lun *l, const struct storage_ask *ask)
{
    const struct storage_space *s = &ask->space;
    if (ask->result < 0) {
        if (l->config->threshold_count && !l->space_failed)
            log_warning("daemon", "thresholds are not watched target=%s lun=%u error=\"%s\"",
                        l->target->config->name, l->config->number, g_strerror(-ask->result));
        l->space_failed = true;
        return;
    }
    l->space_failed = false;
    const struct scsi_space space = {
        .used_bytes = s->used_known ? s->used_bytes : SCSI_SPACE_UNKNOWN,
        .available_bytes = s->available_known ? s->available_bytes : SCSI_SPACE_UNKNOWN,
        .shared = s->shared,
    };
    struct scsi_space_news news = scsi_unit_set_space(l->unit, &space);
    say(l, news.reached, true);
    say(l, news.left, false);
}

static struct daemon_lun *find(struct daemon *d, const struct daemon_question *q)
{
    if (q->target < d->target_count && q->lun < d->targets[q->target]->lun_count &&
        d->targets[q->target]->luns[q->lun]->question == q)
        return d->targets[q->target]->luns[q->lun];
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++)
            if (d->targets[i]->luns[j]->question == q)
                return d->targets[i]->luns[j];
    return NULL; /* the LUN is on its way out */
}

static void go_on(struct daemon *d);

static void told(struct daemon *d, struct daemon_note *note)
{
    struct daemon_question *q = container_of(note, struct daemon_question, note);
    struct daemon_lun *l = find(d, q);
    d->space->under_way--;
    if (l) {
        l->question = NULL;
        if (l->backend == q->ask.backend && !d->freeze)
            take(l, &q->ask);
    }
    g_free(q);
    go_on(d);
}

/* ---- the round ---- */

/* On a pool thread. */
static void ask_done(struct storage_ask *ask)
{
    struct daemon_question *q = container_of(ask, struct daemon_question, ask);
    daemon_note(q->daemon, &q->note);
}

static void ask(struct daemon *d, struct daemon_lun *l)
{
    struct daemon_question *q = g_new0(struct daemon_question, 1);
    q->daemon = d;
    q->target = d->space->target;
    q->lun = d->space->lun - 1;
    q->note.run = told;
    q->ask.done = ask_done;
    l->question = q;
    d->space->under_way++;
    storage_ask_space(l->backend, &q->ask);
}

/* LUNs are being opened or closed, also on other threads: not now. */
static bool is_busy(const struct daemon *d)
{
    return d->stopping || d->freeze || d->reload || d->resize;
}

static void go_on(struct daemon *d)
{
    struct daemon_space *s = d->space;
    while (s->under_way < AT_A_TIME && s->target < d->target_count && !is_busy(d)) {
        struct daemon_target *t = d->targets[s->target];
        if (s->lun >= t->lun_count) {
            s->target++;
            s->lun = 0;
            continue;
        }
        struct daemon_lun *l = t->luns[s->lun++];
        if (asks(d, l))
            ask(d, l);
    }
    if (s->again && s->under_way == 0 && !is_busy(d))
        daemon_space_look(d, /* all= */ true);
}

void daemon_space_look(struct daemon *d, bool all)
{
    struct daemon_space *s = space_of(d);
    s->again |= all;
    if (is_busy(d))
        return;
    if (s->under_way) {
        if (++s->stuck == STUCK_ROUNDS)
            log_warning("daemon", "a handler does not say how much room there is; no threshold is "
                                  "watched until it does");
        return;
    }
    s->all = s->again || s->rounds % OTHERS_EVERY == 0;
    s->again = false;
    s->stuck = 0;
    s->rounds++;
    s->target = s->lun = 0;
    go_on(d);
}

/* ---- the configuration ---- */

void daemon_space_set(struct scsi_unit *unit, const struct config_lun *c)
{
    struct scsi_threshold thresholds[SCSI_THRESHOLDS_MAX] = { 0 };
    _Static_assert((int)CONFIG_THRESHOLDS_MAX == (int)SCSI_THRESHOLDS_MAX, "what fits there");
    for (unsigned i = 0; i < c->threshold_count; i++)
        thresholds[i] = (struct scsi_threshold){ c->thresholds[i].used_percent,
                                                 c->thresholds[i].available_bytes };
    scsi_unit_set_thresholds(unit, thresholds, c->threshold_count);
}

void daemon_space_settle(struct daemon *d)
{
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            const struct daemon_lun *l = d->targets[i]->luns[j];
            if (l->unit)
                daemon_space_set(l->unit, l->config);
        }
    daemon_space_look(d, /* all= */ true);
}

void daemon_space_settle_target(const struct daemon_target *t)
{
    for (unsigned j = 0; j < t->lun_count; j++)
        daemon_space_set(t->luns[j]->unit, t->luns[j]->config);
}

int daemon_space_judge(bool tells, const struct config_lun *c, struct config_problems *problems)
{
    if (!c->threshold_count || tells)
        return 0;
    config_problem_error(problems, c->thresholds_node,
                         "thresholds: handler %s cannot tell how much room there is", c->handler);
    return -ENOTSUP;
}
