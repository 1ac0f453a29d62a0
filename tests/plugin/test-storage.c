/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bridge below handlers that break the rules: every I/O is answered exactly once, what comes too
 * often is counted and dropped, what never comes has an age, and other LUNs do not notice.
 */
#include "rig.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static struct rig rig;
static const struct plugin *odd, *null;

static struct backend *open_lun(const struct plugin *plugin, const char *option)
{
    const char *const options[] = { option, NULL };
    const struct rig_lun lun = { .plugin = plugin, .options = options };
    struct backend *backend = NULL;
    struct hf_error error = PLUGIN_ERROR_INIT;
    int r = rig_open(&rig, &lun, &backend, &error);
    g_assert_cmpstr(error.text, ==, "");
    g_assert_cmpint(r, ==, 0);
    return backend;
}

static int read_one(struct backend *backend)
{
    char block[512];
    return rig_read(&rig, backend, 0, block, sizeof(block));
}

static void expect_strays(const char *mode, int result, unsigned strays_each)
{
    g_autofree char *option = g_strdup_printf("mode=%s", mode);
    struct backend *backend = open_lun(odd, option);
    for (int i = 0; i < 50; i++)
        g_assert_cmpint(read_one(backend), ==, result);
    /* a late stray of another thread may still be on its way */
    for (int i = 0; i < 2000 && storage_stray_answers(backend) < 50 * strays_each; i++)
        g_usleep(1000);
    g_assert_cmpuint(storage_stray_answers(backend), ==, 50 * strays_each);
    rig_close(&rig, backend);
}

static void good(void)
{
    expect_strays("good", 0, 0);
}

static void twice(void)
{
    expect_strays("twice", 0, 1);
}

static void foreign(void)
{
    expect_strays("foreign", 0, 3);
}

static void from_another_thread(void)
{
    expect_strays("remote", 0, 0);
}

static void twice_from_another_thread(void)
{
    expect_strays("remote-twice", 0, 1);
}

static void positive_result(void)
{
    expect_strays("positive", -EIO, 0);
}

static void no_queue(void)
{
    struct backend *backend = open_lun(odd, "mode=no-queue");
    g_assert_cmpint(read_one(backend), <, 0);
    rig_close(&rig, backend);
}

static void log_names_the_handler(void)
{
    if (g_test_subprocess()) {
        expect_strays("twice", 0, 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*answered an I/O twice*handler=odd*lun=0*");
}

/* ----------------------------------------------------------------------------- never answered */

#define MANY 20
static struct backend *held;
static struct backend_io many[MANY];
static struct iovec one_block;
static unsigned answers[MANY];
static _Atomic unsigned answered;

static void count_answer(struct backend_io *io)
{
    answers[io - many]++;
    answered++;
}

static void submit_many(void *unused)
{
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = (struct backend_io){ .op = BACKEND_READ,
                                       .iov = &one_block,
                                       .iov_count = 1,
                                       .length = 512,
                                       .done = count_answer };
        held->ops->submit(held, &many[i]);
    }
}

static void cancel_last(void *unused)
{
    held->ops->cancel(held, &many[MANY - 1]);
    held->ops->cancel(held, &many[MANY - 1]);
    g_assert_cmpuint(answers[MANY - 1], ==, 0); /* never from within cancel */
}

static void cancel_all(void *unused)
{
    for (unsigned i = MANY; i-- > 0;)
        if (answers[i] == 0)
            held->ops->cancel(held, &many[i]);
}

static void wait_for_answers(unsigned count)
{
    for (int i = 0; i < 5000 && answered < count; i++)
        g_usleep(1000);
    g_assert_cmpuint(answered, ==, count);
}

static void never_answered(void)
{
    unsigned at_handler, waiting;
    char block[512];
    one_block = (struct iovec){ block, sizeof(block) };
    held = open_lun(odd, "mode=never");
    uint64_t before = clock_now_ns();
    rig_run(&rig, 0, submit_many, NULL);
    storage_depth(held, &at_handler, &waiting);
    g_assert_cmpuint(at_handler, ==, 8); /* its queue_depth */
    g_assert_cmpuint(waiting, ==, MANY - 8);
    g_assert_cmpuint(storage_age_ns(held, before + 3600 * NS_PER_S), >, 3590 * NS_PER_S);
    g_assert_true(storage_watch(held, before + 3600 * NS_PER_S, 30 * NS_PER_S));
    g_assert_false(storage_watch(held, before + 10 * NS_PER_S, 30 * NS_PER_S));

    struct backend *other = open_lun(null, "size=1M"); /* is served meanwhile */
    g_assert_cmpint(read_one(other), ==, 0);
    rig_close(&rig, other);

    rig_run(&rig, 0, cancel_last, NULL);
    wait_for_answers(1);
    g_assert_cmpint(many[MANY - 1].result, ==, -ECANCELED);
    rig_run(&rig, 0, cancel_all, NULL);
    wait_for_answers(MANY);
    for (unsigned i = 0; i < MANY; i++)
        g_assert_cmpuint(answers[i], ==, 1);
    g_assert_cmpuint(storage_age_ns(held, UINT64_MAX), ==, 0);
    g_assert_false(storage_watch(held, clock_now_ns(), 0));
    rig_close(&rig, held);
}

static _Atomic unsigned closes;

static void count_close(void *unused)
{
    closes++;
}

static void close_waits_for_answers(void)
{
    char block[512];
    one_block = (struct iovec){ block, sizeof(block) };
    memset(answers, 0, sizeof(answers));
    answered = 0;
    held = open_lun(odd, "mode=never");
    rig_run(&rig, 0, submit_many, NULL);
    storage_close(held, count_close, NULL);
    g_usleep(20000);
    g_assert_cmpuint(closes, ==, 0);
    rig_run(&rig, 0, cancel_all, NULL);
    wait_for_answers(MANY);
    for (int i = 0; i < 5000 && closes == 0; i++)
        g_usleep(1000);
    g_assert_cmpuint(closes, ==, 1);
}

/* ---------------------------------------------------------------------------------------- space */

static void space_is_checked(void)
{
    struct storage_space space;
    held = open_lun(odd, "mode=good");
    g_assert_true(storage_tells_space(held));
    g_assert_cmpint(rig_space(&rig, held, &space), ==, 0);
    g_assert_true(space.used_known && !space.available_known && !space.shared);
    g_assert_cmpuint(space.used_bytes, ==, 4096);
    g_assert_cmpuint(space.available_bytes, ==, 0); /* not said to be known */
    rig_close(&rig, held);
    held = open_lun(odd, "mode=positive");
    g_assert_cmpint(rig_space(&rig, held, &space), ==, -EIO);
    rig_close(&rig, held);
    held = open_lun(null, "size=1M");
    g_assert_false(storage_tells_space(held));
    g_assert_cmpint(rig_space(&rig, held, &space), ==, -ENOTSUP);
    rig_close(&rig, held);
}

static _Atomic unsigned told, closed_before;

static void space_told(struct storage_ask *ask)
{
    closed_before = closes;
    told++;
}

static void close_waits_for_space(void)
{
    struct storage_ask ask = { .done = space_told };
    closes = 0;
    held = open_lun(odd, "mode=slow-space");
    g_assert_cmpint(read_one(held), ==, 0);
    storage_ask_space(held, &ask);
    storage_close(held, count_close, NULL);
    for (int i = 0; i < 5000 && closes == 0; i++)
        g_usleep(1000);
    g_assert_cmpuint(closes, ==, 1);
    g_assert_cmpuint(told, ==, 1);
    g_assert_cmpuint(closed_before, ==, 0);
    g_assert_cmpint(ask.result, ==, 0);
}

/* -------------------------------------------------------------------------------- long chains */

static unsigned chain_left, deepest;
static struct backend_io link_of_chain;
static const char *stack_base;

static void next_of_chain(struct backend_io *io)
{
    char here;
    unsigned depth = (unsigned)labs(stack_base - &here);
    deepest = MAX(deepest, depth);
    if (chain_left-- > 0)
        held->ops->submit(held, io);
}

static void start_chain(void *unused)
{
    char here;
    stack_base = &here;
    link_of_chain = (struct backend_io){
        .op = BACKEND_READ, .iov = &one_block, .iov_count = 1, .length = 512, .done = next_of_chain
    };
    held->ops->submit(held, &link_of_chain);
    g_assert_cmpuint(chain_left, ==, UINT32_MAX); /* all of it, within the first submit */
}

static void chains_do_not_eat_the_stack(void)
{
    char block[512];
    one_block = (struct iovec){ block, sizeof(block) };
    held = open_lun(null, "size=1M");
    chain_left = 200000;
    rig_run(&rig, 0, start_chain, NULL);
    g_assert_cmpuint(deepest, <, 64 << 10);
    rig_close(&rig, held);
}

/* ---------------------------------------------------------------------------------- the options */

static void impossible_luns_are_refused(void)
{
    const char *const options[] = { "size=66048", NULL }; /* 129 blocks of 512 */
    struct rig_lun lun = { .plugin = null, .options = options, .block_bytes = 4096 };
    struct backend *backend = NULL;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(rig_open(&rig, &lun, &backend, &error), ==, -EINVAL);
    g_assert_cmpstr(error.text, ==, "size is not a multiple of 4096");
    g_assert_null(backend);
}

int main(int argc, char **argv)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_test_init(&argc, &argv, NULL);
    if (argc == 3) { /* a subprocess of a test gets no arguments */
        g_setenv("TEST_ODD", argv[1], TRUE);
        g_setenv("TEST_NULL", argv[2], TRUE);
    }
    g_assert_cmpint(plugin_load_file(g_getenv("TEST_ODD"), &odd, &error), ==, 0);
    g_assert_cmpint(plugin_load_file(g_getenv("TEST_NULL"), &null, &error), ==, 0);
    rig_init(&rig, 2);
    g_test_add_func("/storage/good", good);
    g_test_add_func("/storage/an-answer-that-comes-twice-is-dropped", twice);
    g_test_add_func("/storage/answers-to-no-io-are-dropped", foreign);
    g_test_add_func("/storage/an-answer-from-another-thread", from_another_thread);
    g_test_add_func("/storage/twice-from-another-thread", twice_from_another_thread);
    g_test_add_func("/storage/a-positive-result-is-an-error", positive_result);
    g_test_add_func("/storage/no-queue-is-an-error-of-the-io", no_queue);
    g_test_add_func("/storage/the-log-names-the-handler", log_names_the_handler);
    g_test_add_func("/storage/never-answered-has-an-age", never_answered);
    g_test_add_func("/storage/close-waits-for-answers", close_waits_for_answers);
    g_test_add_func("/storage/space-is-checked", space_is_checked);
    g_test_add_func("/storage/close-waits-for-space", close_waits_for_space);
    g_test_add_func("/storage/chains-do-not-eat-the-stack", chains_do_not_eat_the_stack);
    g_test_add_func("/storage/impossible-luns-are-refused", impossible_luns_are_refused);
    int r = g_test_run();
    rig_deinit(&rig);
    return r;
}
