/* SPDX-License-Identifier: BSD-3-Clause */
/* The state machine of persistent reservations; see reservation.h. */
#include "scsi/reservation.h"

#include <glib.h>
#include <string.h>

#include "scsi/sense.h"

/* ---- tables ---- */

struct pr_table *pr_table_new(void)
{
    struct pr_table *table = g_new0(struct pr_table, 1);
    table->holder = -1;
    return table;
}

struct pr_table *pr_table_copy(const struct pr_table *table)
{
    struct pr_table *copy = pr_table_new();

    if (!table)
        return copy;
    *copy = *table;
    copy->registrations =
        g_memdup2(table->registrations, table->count * sizeof(*table->registrations));
    copy->events = g_memdup2(table->events, table->event_count * sizeof(*table->events));
    return copy;
}

struct pr_table *pr_table_free(struct pr_table *table)
{
    if (!table)
        return NULL;
    g_free(table->registrations);
    g_free(table->events);
    g_free(table);
    return NULL;
}

static bool is_name(const struct pr_name *name, const char *port, uint16_t tag)
{
    return name->tag == tag && strcmp(name->port, port) == 0;
}

int pr_find(const struct pr_table *table, const char *port, uint16_t tag)
{
    for (unsigned i = 0; table && i < table->count; i++) {
        if (is_name(&table->registrations[i].name, port, tag))
            return (int)i;
    }
    return -1;
}

bool pr_all_registrants(uint8_t type)
{
    return type == PR_WRITE_EXCLUSIVE_ALL || type == PR_EXCLUSIVE_ACCESS_ALL;
}

bool pr_is_holder(const struct pr_table *table, int registration)
{
    if (registration < 0 || table->type == PR_NONE)
        return false;
    return pr_all_registrants(table->type) || table->holder == registration;
}

uint8_t pr_denied(const struct pr_table *table, int registration)
{
    if (!table || pr_is_holder(table, registration))
        return 0;
    switch (table->type) {
    case PR_WRITE_EXCLUSIVE:
        return DENY_WRITE;
    case PR_EXCLUSIVE_ACCESS:
        return DENY_READ | DENY_WRITE;
    case PR_WRITE_EXCLUSIVE_REGISTRANTS:
    case PR_WRITE_EXCLUSIVE_ALL:
        return registration < 0 ? DENY_WRITE : 0;
    case PR_EXCLUSIVE_ACCESS_REGISTRANTS:
    case PR_EXCLUSIVE_ACCESS_ALL:
        return registration < 0 ? DENY_READ | DENY_WRITE : 0;
    default:
        return 0;
    }
}

/* ---- one change ---- */

struct change {
    const struct pr_request_data *r;
    struct pr_table *t; /* the copy that is being changed */
    int self;           /* the sender's registration in t, or -1 */
    struct pr_result *result;
};

static void refuse(struct change *c, enum pr_verdict verdict)
{
    c->result->verdict = verdict;
}

static void refuse_field(struct change *c, enum pr_verdict verdict, uint16_t byte, int bit)
{
    c->result->verdict = verdict;
    c->result->byte = byte;
    c->result->bit = bit;
}

static void accept(struct change *c)
{
    c->result->verdict = PR_CHANGED;
}

static void add_event(struct pr_table *t, const struct pr_name *name, uint16_t asc)
{
    struct pr_event event = { .serial = t->serial, .asc = asc, .name = *name };

    if (t->event_count == PR_EVENTS_MAX) {
        memmove(t->events, t->events + 1, (PR_EVENTS_MAX - 1) * sizeof(event));
        t->event_count--;
    }
    t->events = g_renew(struct pr_event, t->events, t->event_count + 1);
    t->events[t->event_count++] = event;
}

/* Every registrant but the sender. */
static void tell_others(struct change *c, uint16_t asc)
{
    for (unsigned i = 0; i < c->t->count; i++) {
        if ((int)i != c->self)
            add_event(c->t, &c->t->registrations[i].name, asc);
    }
}

static void add(struct change *c, const char *port, uint16_t tag, uint64_t key)
{
    struct pr_table *t = c->t;
    struct pr_registration *last;

    t->registrations = g_renew(struct pr_registration, t->registrations, t->count + 1);
    last = &t->registrations[t->count++];
    memset(last, 0, sizeof(*last));
    last->key = key;
    last->name.tag = tag;
    g_strlcpy(last->name.port, port, sizeof(last->name.port));
}

static void no_reservation(struct pr_table *t)
{
    t->type = PR_NONE;
    t->holder = -1;
}

/* Takes registration `i` out; the reservation is the caller's to look at first. */
static void drop(struct change *c, int i)
{
    struct pr_table *t = c->t;

    memmove(&t->registrations[i], &t->registrations[i + 1],
            (t->count - (unsigned)i - 1) * sizeof(*t->registrations));
    t->count--;
    if (t->holder == i)
        t->holder = -1;
    else if (t->holder > i)
        t->holder--;
    if (c->self == i)
        c->self = -1;
    else if (c->self > i)
        c->self--;
    if (t->count == 0)
        no_reservation(t);
}

/* SPC-4 5.12.11.3: the holder's reservation ends with its registration. */
static void unregister(struct change *c, int i)
{
    struct pr_table *t = c->t;

    if (t->holder == i) {
        bool tell = t->type == PR_WRITE_EXCLUSIVE_REGISTRANTS ||
                    t->type == PR_EXCLUSIVE_ACCESS_REGISTRANTS;
        no_reservation(t);
        if (tell)
            tell_others(c, ASC_RESERVATIONS_RELEASED);
    }
    drop(c, i);
}

/* With ALL_TG_PT at every target port, the sender's own as the last. */
static void unregister_sender(struct change *c)
{
    const struct pr_request_data *r = c->r;

    for (unsigned i = 0; r->all_ports && i < r->tag_count; i++) {
        int known = r->tags[i] == r->tag ? -1 : pr_find(c->t, r->port, r->tags[i]);
        if (known >= 0)
            unregister(c, known);
    }
    unregister(c, c->self);
}

/* ---- REGISTER ---- */

static bool room_for(struct change *c, unsigned more)
{
    if (c->t->count + more <= PR_REGISTRATIONS_MAX)
        return true;
    refuse(c, PR_FULL);
    return false;
}

static void set_aptpl(struct change *c)
{
    c->t->aptpl = c->r->aptpl;
    c->t->generation++;
    accept(c);
}

/* The sender's target port, or all of them; then those that SPEC_I_PT names. */
static void register_new(struct change *c)
{
    const struct pr_request_data *r = c->r;
    unsigned ports = r->all_ports ? r->tag_count : 1;
    const uint16_t *tags = r->all_ports ? r->tags : &r->tag;

    if (!room_for(c, ports * (1 + r->name_count)))
        return;
    for (unsigned n = 0; n <= r->name_count; n++) {
        const char *port = n == 0 ? r->port : r->names[n - 1].port;
        for (unsigned i = 0; i < ports; i++) {
            int known = pr_find(c->t, port, tags[i]);
            if (known < 0) {
                add(c, port, tags[i], r->action_key);
            } else if (n) { /* it has a key of its own already */
                refuse_field(c, PR_BAD_LIST, 24, -1);
                return;
            } else {
                c->t->registrations[known].key = r->action_key;
            }
        }
    }
    set_aptpl(c);
}

static void do_register(struct change *c)
{
    const struct pr_request_data *r = c->r;
    bool ignore = r->action == PR_REGISTER_AND_IGNORE;

    if (r->aptpl && !r->can_persist) {
        refuse_field(c, PR_BAD_LIST, 20, 0);
        return;
    }
    if (r->spec_ports && (ignore || c->self >= 0)) {
        refuse_field(c, PR_BAD_LIST, 20, 3);
        return;
    }
    if (!ignore && r->key != (c->self < 0 ? 0 : c->t->registrations[c->self].key)) {
        refuse(c, PR_CONFLICT);
        return;
    }
    if (c->self < 0) {
        if (r->action_key)
            register_new(c);
        return;
    }
    if (r->action_key) {
        if (r->all_ports) {
            register_new(c);
            return;
        }
        c->t->registrations[c->self].key = r->action_key;
    } else {
        unregister_sender(c);
    }
    set_aptpl(c);
}

/* ---- RESERVE, RELEASE, CLEAR ---- */

/* The sender is registered with that key; everything but REGISTER needs it. */
static bool authorised(struct change *c)
{
    if (c->self >= 0 && c->t->registrations[c->self].key == c->r->key)
        return true;
    refuse(c, PR_CONFLICT);
    return false;
}

static bool valid_type(struct change *c)
{
    static const uint16_t valid = 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8;

    if (c->r->scope == 0 && (valid >> c->r->type & 1))
        return true;
    refuse_field(c, PR_BAD_CDB, 2, c->r->scope ? 7 : 3);
    return false;
}

static void take(struct change *c)
{
    c->t->type = c->r->type;
    c->t->holder = pr_all_registrants(c->r->type) ? -1 : c->self;
}

static void do_reserve(struct change *c)
{
    if (!valid_type(c))
        return;
    if (c->t->type == PR_NONE) {
        take(c);
        accept(c);
    } else if (!pr_is_holder(c->t, c->self) || c->t->type != c->r->type) {
        refuse(c, PR_CONFLICT);
    }
}

static void do_release(struct change *c)
{
    uint8_t type = c->t->type;

    if (!valid_type(c) || !pr_is_holder(c->t, c->self))
        return;
    if (type != c->r->type) {
        refuse(c, PR_BAD_RELEASE);
        return;
    }
    no_reservation(c->t);
    if (type != PR_WRITE_EXCLUSIVE && type != PR_EXCLUSIVE_ACCESS)
        tell_others(c, ASC_RESERVATIONS_RELEASED);
    accept(c);
}

static void do_clear(struct change *c)
{
    tell_others(c, ASC_RESERVATIONS_PREEMPTED);
    no_reservation(c->t);
    c->t->count = 0;
    c->t->generation++;
    accept(c);
}

/* ---- PREEMPT ---- */

/* Takes out the registrations with `key` (all: whatever their key), but for the sender's own if
   `keep_self`. Returns how many. */
static unsigned preempt_keys(struct change *c, uint64_t key, bool all, bool keep_self)
{
    unsigned removed = 0;

    for (int i = (int)c->t->count - 1; i >= 0; i--) {
        if (!all && c->t->registrations[i].key != key)
            continue;
        if (i == c->self && keep_self)
            continue;
        if (i != c->self)
            add_event(c->t, &c->t->registrations[i].name, ASC_REGISTRATIONS_PREEMPTED);
        drop(c, i);
        removed++;
    }
    return removed;
}

/* The reservation itself goes to the sender (SPC-4 5.12.11.4.3). */
static void preempt_reservation(struct change *c, bool all)
{
    uint8_t before = c->t->type;

    preempt_keys(c, c->r->action_key, all, /* keep_self= */ true);
    take(c);
    if (before != c->t->type)
        tell_others(c, ASC_RESERVATIONS_RELEASED);
    c->t->generation++;
    accept(c);
}

static void do_preempt(struct change *c)
{
    struct pr_table *t = c->t;
    uint64_t key = c->r->action_key;
    bool everybody = pr_all_registrants(t->type);
    bool holders = t->holder >= 0 && t->registrations[t->holder].key == key;

    if (key == 0 && !everybody) {
        refuse_field(c, PR_BAD_LIST, 8, -1);
        return;
    }
    if ((everybody && key == 0) || (!everybody && holders)) {
        if (valid_type(c))
            preempt_reservation(c, /* all= */ everybody);
        return;
    }
    if (preempt_keys(c, key, /* all= */ false, /* keep_self= */ false) == 0) {
        refuse(c, PR_CONFLICT);
        return;
    }
    t->generation++;
    accept(c);
}

/* ---- REGISTER AND MOVE ---- */

static void do_move(struct change *c)
{
    const struct pr_request_data *r = c->r;
    const struct pr_name *to = r->name_count ? &r->names[0] : NULL;

    if (c->t->type == PR_NONE) { /* there is nothing to move */
        refuse_field(c, PR_BAD_CDB, 1, 4);
        return;
    }
    if (pr_all_registrants(c->t->type) || !pr_is_holder(c->t, c->self)) {
        refuse(c, PR_CONFLICT);
        return;
    }
    if (r->action_key == 0) {
        refuse_field(c, PR_BAD_LIST, 8, -1);
        return;
    }
    if (r->aptpl && !r->can_persist) {
        refuse_field(c, PR_BAD_LIST, 17, 0);
        return;
    }
    if (!to || is_name(to, r->port, r->tag)) {
        refuse_field(c, PR_BAD_LIST, 24, -1);
        return;
    }
    int known = pr_find(c->t, to->port, to->tag);
    if (known < 0) {
        if (!room_for(c, 1))
            return;
        add(c, to->port, to->tag, r->action_key);
        known = (int)c->t->count - 1;
    } else {
        c->t->registrations[known].key = r->action_key;
    }
    c->t->holder = known;
    if (r->unregister)
        drop(c, c->self);
    set_aptpl(c);
}

static void do_replace_lost(struct change *c)
{
    refuse_field(c, PR_BAD_CDB, 1, 4); /* nothing was lost */
}

void pr_apply(const struct pr_table *table, const struct pr_request_data *request,
              struct pr_result *ret_result)
{
    static const struct {
        void (*run)(struct change *c);
        bool needs_key;
    } actions[] = {
        [PR_REGISTER] = { do_register, false },
        [PR_RESERVE] = { do_reserve, true },
        [PR_RELEASE] = { do_release, true },
        [PR_CLEAR] = { do_clear, true },
        [PR_PREEMPT] = { do_preempt, true },
        [PR_PREEMPT_AND_ABORT] = { do_preempt, true },
        [PR_REGISTER_AND_IGNORE] = { do_register, false },
        [PR_REGISTER_AND_MOVE] = { do_move, true },
        [PR_REPLACE_LOST] = { do_replace_lost, false },
    };
    struct change c = { .r = request, .result = ret_result };

    *ret_result = (struct pr_result){ .verdict = PR_UNCHANGED, .bit = -1 };
    if (request->action >= G_N_ELEMENTS(actions)) {
        refuse_field(&c, PR_BAD_CDB, 1, 4);
        return;
    }
    c.t = pr_table_copy(table);
    c.t->serial++;
    c.t->sequence++;
    c.self = pr_find(c.t, request->port, request->tag);
    if (!actions[request->action].needs_key || authorised(&c))
        actions[request->action].run(&c);
    if (ret_result->verdict == PR_CHANGED)
        ret_result->table = c.t;
    else
        pr_table_free(c.t);
}
