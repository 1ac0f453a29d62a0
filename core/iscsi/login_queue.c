/* SPDX-License-Identifier: BSD-3-Clause */
/* See login_queue.h. */
#include "iscsi/login_queue.h"

#include "base/clock.h"

#define LEASE_NS      (250 * NS_PER_MS)
#define RETURNING_MAX 7u  /* before a new one gets its turn */
#define AT_A_TIME     16u /* before other work of the reactor */

enum { CLASS_RETURNING, CLASS_NEW };
enum { TICKET_OUT, TICKET_WAITING, TICKET_ACTIVE };

static void lease_over(struct timer *timer);
static void run(struct reactor_task *task);

void login_queue_init(struct login_queue *q, struct reactor *reactor, uint32_t slots)
{
    *q = (struct login_queue){ .reactor = reactor, .slots = slots };
    list_init(&q->turn[CLASS_RETURNING]);
    list_init(&q->turn[CLASS_NEW]);
    list_init(&q->lent);
    timer_init(&q->lease, lease_over);
    reactor_task_init(&q->run, run);
}

void login_queue_fini(struct login_queue *q)
{
    timer_stop(&q->reactor->timers, &q->lease);
    reactor_task_cancel(&q->run);
}

void login_ticket_init(struct login_ticket *ticket, void (*go)(struct login_ticket *ticket))
{
    *ticket = (struct login_ticket){ .go = go };
    list_init(&ticket->link);
}

bool login_ticket_waits(const struct login_ticket *ticket)
{
    return ticket->state == TICKET_WAITING;
}

static void look(struct login_queue *q)
{
    if (q->waiting && q->active < q->slots)
        reactor_defer(q->reactor, &q->run);
    if (q->waiting && !list_empty(&q->lent) && !timer_armed(&q->lease)) {
        const struct login_ticket *oldest = list_entry(q->lent.next, struct login_ticket, link);
        timer_start(&q->reactor->timers, &q->lease, oldest->until_ns);
    }
}

/* Of those that wait, the one whose turn it is, taken out. */
static struct login_ticket *take(struct login_queue *q)
{
    bool new = list_empty(&q->turn[CLASS_RETURNING]) ||
               (q->streak >= RETURNING_MAX && !list_empty(&q->turn[CLASS_NEW]));
    unsigned class = new ? CLASS_NEW : CLASS_RETURNING;
    struct list *n = list_take(&q->turn[class]);
    struct admission_source *source =
        (void *)((char *)n - offsetof(struct admission_source, turn) - class * sizeof(struct list));
    struct login_ticket *ticket =
        list_entry(list_take(&source->waiting[class]), struct login_ticket, link);
    if (!list_empty(&source->waiting[class]))
        list_append(&q->turn[class], n);
    q->streak = new ? 0 : q->streak + 1;
    q->waiting--;
    return ticket;
}

static void run(struct reactor_task *task)
{
    struct login_queue *q = container_of(task, struct login_queue, run);
    for (unsigned i = 0; i < AT_A_TIME && q->waiting && q->active < q->slots; i++) {
        struct login_ticket *ticket = take(q);
        ticket->state = TICKET_ACTIVE;
        ticket->until_ns = q->reactor->now_ns + LEASE_NS;
        q->active++;
        list_append(&q->lent, &ticket->link);
        ticket->go(ticket);
    }
    look(q);
}

static void lease_over(struct timer *timer)
{
    struct login_queue *q = container_of(timer, struct login_queue, lease);
    list_for_each_safe(pos, &q->lent)
    {
        struct login_ticket *ticket = list_entry(pos, struct login_ticket, link);
        if (ticket->until_ns > q->reactor->now_ns)
            break;
        login_queue_leave(q, ticket);
    }
    look(q);
}

void login_queue_wait(struct login_queue *q, struct login_ticket *ticket,
                      struct admission_source *source, bool returning)
{
    unsigned class = returning ? CLASS_RETURNING : CLASS_NEW;
    ticket->state = TICKET_WAITING;
    ticket->class = (uint8_t) class;
    ticket->source = source;
    if (list_empty(&source->waiting[class]))
        list_append(&q->turn[class], &source->turn[class]);
    list_append(&source->waiting[class], &ticket->link);
    q->waiting++;
    look(q);
}

void login_queue_leave(struct login_queue *q, struct login_ticket *ticket)
{
    unsigned state = ticket->state;
    list_remove(&ticket->link);
    ticket->state = TICKET_OUT;
    if (state == TICKET_WAITING) {
        q->waiting--;
        if (list_empty(&ticket->source->waiting[ticket->class]))
            list_remove(&ticket->source->turn[ticket->class]);
    } else if (state == TICKET_ACTIVE) {
        q->active--;
    }
    if (state != TICKET_OUT)
        look(q);
}
