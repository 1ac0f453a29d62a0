/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and epochs: nothing is lost, nothing overtakes, nobody sleeps through. */
#include "reactor-helper.h"

#include "reactor/epoch.h"

#include <unistd.h>

static void nothing(void *data)
{
}

static void test_wakes_a_sleeper(void)
{
    struct reactor *r = reactor_running(0);
    for (unsigned i = 0; i < 300; i++) {
        on_reactor(r, nothing, NULL);
        if (i % 50 == 0)
            g_usleep(2000); /* surely asleep */
    }
    g_assert_cmpuint(counters_of(r).wakeups, >, 0);
    g_assert_cmpuint(counters_of(r).messages, ==, 300);
    reactor_end(r);
}

enum { POSTERS = 4, EACH = 50000 };

struct numbered {
    struct reactor_message message;
    unsigned poster, number;
};

static unsigned next_number[POSTERS];
static sem_t all_there;
static unsigned total;

static void take_numbered(struct reactor_message *message)
{
    struct numbered *n = (struct numbered *)message;
    g_assert_cmpuint(next_number[n->poster], ==, n->number);
    next_number[n->poster]++;
    if (++total == POSTERS * EACH)
        sem_post(&all_there);
}

struct poster {
    struct reactor *reactor;
    unsigned index;
    struct numbered *messages;
};

static gpointer post_all(gpointer data)
{
    struct poster *p = data;
    for (unsigned i = 0; i < EACH; i++) {
        p->messages[i] = (struct numbered){ { .run = take_numbered }, p->index, i };
        reactor_post(p->reactor, &p->messages[i].message);
        if (i % 1000 == 0)
            g_usleep(100); /* lets the reactor fall asleep now and then */
    }
    return NULL;
}

static void test_four_posters(void)
{
    struct reactor *r = reactor_running(0);
    struct poster posters[POSTERS];
    GThread *threads[POSTERS];
    sem_init(&all_there, 0, 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ r, i, g_new(struct numbered, EACH) };
        threads[i] = g_thread_new("poster", post_all, &posters[i]);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        g_thread_join(threads[i]);
    wait_signal(&all_there);
    struct reactor_counters c = counters_of(r);
    reactor_end(r);
    for (unsigned i = 0; i < POSTERS; i++) {
        g_assert_cmpuint(next_number[i], ==, EACH);
        g_free(posters[i].messages);
    }
    g_assert_cmpuint(c.wakeups, <, POSTERS * EACH);
}

/* Two reactors throw one message to and fro. */
struct ball {
    struct reactor_message message;
    struct reactor *reactors[2];
    unsigned throws;
    sem_t landed;
};

static void throw_ball(struct reactor_message *message)
{
    struct ball *b = (struct ball *)message;
    g_assert_true(reactor_current() == b->reactors[b->throws % 2]);
    if (++b->throws == 5000)
        sem_post(&b->landed);
    else
        reactor_post(b->reactors[b->throws % 2], message);
}

static void test_between_reactors(void)
{
    struct ball b = { .message.run = throw_ball,
                      .reactors = { reactor_running(0), reactor_running(1) } };
    sem_init(&b.landed, 0, 0);
    reactor_post(b.reactors[0], &b.message);
    wait_signal(&b.landed);
    g_assert_cmpuint(b.throws, ==, 5000);
    reactor_end(b.reactors[0]);
    reactor_end(b.reactors[1]);
}

struct repost {
    struct reactor_message message;
    unsigned left;
    sem_t done;
};

static void repost(struct reactor_message *message)
{
    struct repost *p = (struct repost *)message;
    if (p->left-- == 0)
        sem_post(&p->done);
    else
        reactor_post(reactor_current(), message);
}

static void test_posting_to_oneself_goes_round(void)
{
    struct reactor *r = reactor_running(0);
    struct repost p = { .message.run = repost, .left = 1000 };
    sem_init(&p.done, 0, 0);
    uint64_t before = counters_of(r).turns;
    reactor_post(r, &p.message);
    wait_signal(&p.done);
    g_assert_cmpuint(counters_of(r).turns - before, >=, 1000);
    reactor_end(r);
}

static void test_posted_before_start_and_before_stop(void)
{
    struct repost p = { .message.run = repost }, q = { .message.run = repost };
    sem_init(&p.done, 0, 0);
    sem_init(&q.done, 0, 0);
    struct reactor *r = reactor_make(0, 0);
    reactor_post(r, &p.message);
    g_assert_cmpint(reactor_start(r), ==, 0);
    wait_signal(&p.done);
    reactor_post(r, &q.message);
    reactor_stop(r);
    g_assert_cmpint(sem_trywait(&q.done), ==, 0);
    reactor_free(r);
}

/* ---- epochs ---- */

enum { REACTORS = 3 };

struct epoch_test {
    struct epoch_wait wait;
    struct reactor *reactors[REACTORS];
    struct reactor *ended_on;
    unsigned *published;
    unsigned *retired;
    sem_t done;
};

static void epoch_done(struct epoch_wait *wait)
{
    struct epoch_test *t = (struct epoch_test *)wait;
    t->ended_on = reactor_current();
    if (t->retired)
        __atomic_store_n(t->retired, 0xdeadu, __ATOMIC_RELAXED); /* nobody may see this */
    sem_post(&t->done);
}

/* A reader that follows the published pointer in every turn, for ever. */
struct reader {
    struct reactor_task task;
    struct reactor *reactor;
    unsigned **published;
    unsigned looks;
    bool stop;
};

static void read_published(struct reactor_task *task)
{
    struct reader *reader = container_of(task, struct reader, task);
    unsigned *p = __atomic_load_n(reader->published, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < 50; i++)
        g_assert_cmpuint(__atomic_load_n(p, __ATOMIC_RELAXED), ==, 7);
    reader->looks++;
    if (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED))
        reactor_defer(reader->reactor, task);
}

static void start_reading(void *data)
{
    struct reader *reader = data;
    reactor_task_init(&reader->task, read_published);
    reactor_defer(reader->reactor, &reader->task);
}

static void test_epoch_protects_what_is_retired(void)
{
    struct epoch_test t = { .wait.done = epoch_done };
    struct reader readers[REACTORS];
    unsigned values[2] = { 7, 7 }, *published = &values[0];
    sem_init(&t.done, 0, 0);
    for (unsigned i = 0; i < REACTORS; i++) {
        t.reactors[i] = reactor_running(i);
        readers[i] = (struct reader){ .reactor = t.reactors[i], .published = &published };
        on_reactor(t.reactors[i], start_reading, &readers[i]);
    }
    for (unsigned round = 0; round < 200; round++) {
        unsigned *old = published, *fresh = old == &values[0] ? &values[1] : &values[0];
        *fresh = 7;
        __atomic_store_n(&published, fresh, __ATOMIC_RELEASE);
        t.retired = old;
        epoch_wait_async(&t.wait, t.reactors, REACTORS);
        wait_signal(&t.done);
        g_assert_true(t.ended_on == t.reactors[REACTORS - 1]);
    }
    for (unsigned i = 0; i < REACTORS; i++) {
        __atomic_store_n(&readers[i].stop, true, __ATOMIC_RELAXED);
        reactor_end(t.reactors[i]);
        g_assert_cmpuint(readers[i].looks, >=, 200);
    }
}

static void test_epoch_ends_at_home(void)
{
    struct epoch_test t = { .wait.done = epoch_done };
    sem_init(&t.done, 0, 0);
    for (unsigned i = 0; i < REACTORS; i++)
        t.reactors[i] = reactor_running(i);
    for (unsigned count = 0; count <= REACTORS; count++) {
        for (unsigned home = 0; home < REACTORS; home++) {
            t.wait.home = t.reactors[home];
            epoch_wait_async(&t.wait, t.reactors, count);
            wait_signal(&t.done);
            g_assert_true(t.ended_on == t.reactors[home]);
        }
    }
    for (unsigned i = 0; i < REACTORS; i++)
        reactor_end(t.reactors[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/mailbox/wakes-a-sleeper", test_wakes_a_sleeper);
    g_test_add_func("/reactor/mailbox/four-posters", test_four_posters);
    g_test_add_func("/reactor/mailbox/between-reactors", test_between_reactors);
    g_test_add_func("/reactor/mailbox/posting-to-oneself-goes-round",
                    test_posting_to_oneself_goes_round);
    g_test_add_func("/reactor/mailbox/posted-before-start-and-before-stop",
                    test_posted_before_start_and_before_stop);
    g_test_add_func("/reactor/epoch/protects-what-is-retired", test_epoch_protects_what_is_retired);
    g_test_add_func("/reactor/epoch/ends-at-home", test_epoch_ends_at_home);
    return g_test_run();
}
