/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose login is worked on next. The reactor is a list of deferred tasks and a wheel of timers. */
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "iscsi/login_queue.h"

#define MANY 40 /* more than the queue takes in one go */

struct login {
    struct login_ticket ticket;
    char name;
};

static struct reactor reactor;
static struct login_queue queue;
static struct login logins[128]; /* by name */
static struct admission_source sources[3];
static GString *order;

static void go(struct login_ticket *ticket)
{
    g_string_append_c(order, container_of(ticket, struct login, ticket)->name);
}

static void set_up(uint32_t slots)
{
    memset(&reactor, 0, sizeof(reactor));
    list_init(&reactor.deferred);
    timer_wheel_init(&reactor.timers, 0);
    login_queue_init(&queue, &reactor, slots);
    for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++)
        for (unsigned class = 0; class < 2; class ++) {
            list_init(&sources[i].waiting[class]);
            list_init(&sources[i].turn[class]);
        }
    order = g_string_new(NULL);
}

static void expect(const char *names)
{
    g_assert_cmpstr(order->str, ==, names);
    g_string_free(order, TRUE);
}

static struct login *come(char name, unsigned source, bool returning)
{
    struct login *l = &logins[(unsigned char)name];
    l->name = name;
    login_ticket_init(&l->ticket, go);
    login_queue_wait(&queue, &l->ticket, &sources[source], returning);
    return l;
}

static void turns(void)
{
    struct list *n;
    while ((n = list_take(&reactor.deferred))) {
        struct reactor_task *task = list_entry(n, struct reactor_task, link);
        task->run(task);
    }
}

static void over(char name)
{
    login_queue_leave(&queue, &logins[(unsigned char)name].ticket);
}

static void returning_ones_come_first(void)
{
    set_up(MANY);
    for (const char *c = "abcd"; *c; c++)
        come(*c, 0, /* returning= */ false);
    for (const char *c = "0123456789"; *c; c++)
        come(*c, 1, /* returning= */ true);
    g_assert_cmpuint(order->len, ==, 0); /* not before the end of the turn */
    turns();
    expect("0123456a789bcd"); /* and one in eight is new */
}

static void addresses_take_turns(void)
{
    set_up(MANY);
    for (const char *c = "abcdef"; *c; c++)
        come(*c, 0, false);
    come('x', 1, false);
    come('y', 2, false);
    come('z', 2, false);
    turns();
    expect("axybzcdef");
}

static void no_more_than_there_are_slots(void)
{
    set_up(2);
    for (const char *c = "abcde"; *c; c++)
        come(*c, 0, false);
    turns();
    g_assert_cmpstr(order->str, ==, "ab");
    over('b');
    over('c'); /* gave up while it waited */
    turns();
    g_assert_cmpstr(order->str, ==, "abd");
    over('a');
    over('d');
    over('d');
    turns();
    expect("abde");
    over('e');
    g_assert_cmpuint(queue.active, ==, 0);
    g_assert_cmpuint(queue.waiting, ==, 0);
}

static void a_slot_is_lent_for_a_while(void)
{
    set_up(1);
    come('a', 0, false);
    come('b', 1, false);
    turns();
    reactor.now_ns = 100 * NS_PER_MS;
    timer_wheel_run(&reactor.timers, reactor.now_ns);
    turns();
    g_assert_cmpstr(order->str, ==, "a");
    reactor.now_ns = 300 * NS_PER_MS;
    timer_wheel_run(&reactor.timers, reactor.now_ns);
    turns();
    over('a'); /* it has none any more */
    expect("ab");
    g_assert_cmpuint(queue.active, ==, 1);
}

static void more_than_a_turn_takes_are_not_forgotten(void)
{
    set_up(MANY);
    for (unsigned i = 0; i < MANY; i++)
        come((char)('A' + i), i % 3, i % 2);
    turns();
    g_assert_cmpuint(order->len, ==, MANY);
    g_assert_cmpuint(queue.active, ==, MANY);
    g_string_free(order, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iscsi/login-queue/returning-ones-come-first", returning_ones_come_first);
    g_test_add_func("/iscsi/login-queue/addresses-take-turns", addresses_take_turns);
    g_test_add_func("/iscsi/login-queue/no-more-than-there-are-slots",
                    no_more_than_there_are_slots);
    g_test_add_func("/iscsi/login-queue/a-slot-is-lent-for-a-while", a_slot_is_lent_for_a_while);
    g_test_add_func("/iscsi/login-queue/more-than-a-turn-takes-are-not-forgotten",
                    more_than_a_turn_takes_are_not_forgotten);
    return g_test_run();
}
