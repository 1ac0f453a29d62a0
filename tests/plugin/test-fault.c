/* SPDX-License-Identifier: BSD-3-Clause */
/* The handler fault, rule by rule, over a RAM disk; and rules that change while I/O hangs. */
#include "rig.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define BLOCK 4096
#define OF    "of={handler: ram, options: {size: 8M}}"

static struct rig rig;
static const struct plugin *fault;
static struct backend *disk;
static char data[2 * BLOCK];

static void open_with(const char *rules)
{
    const char *const options[] = { OF, rules, NULL };
    const struct rig_lun lun = { .plugin = fault, .options = options, .block_bytes = BLOCK };
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(rig_open(&rig, &lun, &disk, &error), ==, 0);
}

static int put(uint64_t block, unsigned blocks, char what)
{
    memset(data, what, sizeof(data));
    return rig_write(&rig, disk, block * BLOCK, data, blocks * BLOCK, 0);
}

/* The first byte of a block. */
static char get(uint64_t block)
{
    char there[BLOCK];
    g_assert_cmpint(rig_read(&rig, disk, block * BLOCK, there, BLOCK), ==, 0);
    return there[0];
}

static void an_error_in_a_range(void)
{
    open_with("rules=[{op: write, from: 8K, to: 16K, error: ENOSPC}]");
    g_assert_cmpint(put(1, 1, 'a'), ==, 0);
    g_assert_cmpint(put(2, 1, 'a'), ==, -ENOSPC);
    g_assert_cmpint(put(1, 2, 'b'), ==, -ENOSPC);
    g_assert_cmpint(put(4, 1, 'a'), ==, 0);
    g_assert_cmpint(get(1), ==, 'a');
    rig_close(&rig, disk);
}

static void space_is_that_below(void)
{
    struct storage_space space;
    open_with("rules=[]");
    g_assert_cmpint(rig_do(&rig, disk, BACKEND_UNMAP, 0, disk->info.bytes, 0), ==, 0);
    g_assert_cmpint(rig_space(&rig, disk, &space), ==, 0);
    g_assert_cmpuint(space.used_bytes, ==, 0);
    g_assert_cmpint(put(3, 2, 'a'), ==, 0);
    g_assert_cmpint(rig_space(&rig, disk, &space), ==, 0);
    g_assert_true(space.used_known);
    g_assert_cmpuint(space.used_bytes, ==, 2 * BLOCK);
    g_assert_cmpint(rig_do(&rig, disk, BACKEND_UNMAP, 3 * BLOCK, BLOCK, 0), ==, 0);
    g_assert_cmpint(rig_space(&rig, disk, &space), ==, 0);
    g_assert_cmpuint(space.used_bytes, ==, BLOCK);
    rig_close(&rig, disk);
}

static void after_every_and_times(void)
{
    static const int expected[] = { 0, 0, 0, -EIO, 0, -EIO, 0, 0, 0 };
    open_with("rules=[{op: write, after: 2, every: 2, times: 2}]");
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpint(put(i, 1, 'a'), ==, expected[i]);
    rig_close(&rig, disk);
}

static void count_errors(char *pattern, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pattern[i] = put(i, 1, 'a') == 0 ? '.' : 'x';
}

static void chance_is_the_same_with_the_same_seed(void)
{
    char first[200], second[200];
    for (int i = 0; i < 2; i++) {
        open_with("rules=[{op: write, chance: 500000}]");
        count_errors(i ? second : first, sizeof(first));
        rig_close(&rig, disk);
    }
    g_assert_cmpmem(first, sizeof(first), second, sizeof(second));
    g_assert_nonnull(memchr(first, 'x', sizeof(first)));
    g_assert_nonnull(memchr(first, '.', sizeof(first)));
}

static void a_torn_write_ends_in_the_middle(void)
{
    open_with("rules=[{op: write, after: 1, action: tear}]");
    g_assert_cmpint(put(0, 2, 'a'), ==, 0);
    g_assert_cmpint(put(0, 2, 'b'), ==, -EIO);
    g_assert_cmpint(get(0), ==, 'b');
    g_assert_cmpint(get(1), ==, 'a');
    rig_close(&rig, disk);
}

static void a_lost_write_is_answered(void)
{
    open_with("rules=[{op: write, after: 1, action: lose}]");
    g_assert_cmpint(put(0, 1, 'a'), ==, 0);
    g_assert_cmpint(put(0, 1, 'b'), ==, 0);
    g_assert_cmpint(get(0), ==, 'a');
    rig_close(&rig, disk);
}

static void a_delay_is_waited_for(void)
{
    open_with("rules=[{op: write, action: delay, delay: 50ms}]");
    gint64 begun = g_get_monotonic_time();
    g_assert_cmpint(put(0, 1, 'a'), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - begun, >=, 50000);
    g_assert_cmpint(get(0), ==, 'a');
    rig_close(&rig, disk);
}

static gpointer write_one(gpointer unused)
{
    return GINT_TO_POINTER(put(0, 1, 'h'));
}

static void what_hangs_goes_on_with_other_rules(void)
{
    const char *const options[] = { OF, "rules=[]", NULL };
    const struct rig_lun lun = { .plugin = fault, .options = options, .block_bytes = BLOCK };
    struct hf_error error = PLUGIN_ERROR_INIT;
    unsigned at_handler = 0, waiting;
    open_with("rules=[{op: write, action: hang}]");
    GThread *thread = g_thread_new("writer", write_one, NULL);
    while (at_handler == 0)
        storage_depth(disk, &at_handler, &waiting);
    g_assert_cmpint(get(0), !=, 'h');
    g_assert_cmpint(rig_update(&rig, disk, &lun, &error), ==, 0);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, 0);
    g_assert_cmpint(get(0), ==, 'h');
    rig_close(&rig, disk);
}

static char *refusal(const char *of, const char *rules)
{
    const char *const options[] = { of, rules, NULL };
    const struct rig_lun lun = { .plugin = fault, .options = options };
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(rig_judge(&lun, &error), <, 0);
    return g_strdup(error.text);
}

static void what_makes_no_sense_is_refused(void)
{
    static const struct {
        const char *of, *rules, *text;
    } rows[] = {
        { OF, "rules=[{action: delay}]", "fault: rule 1: a delay of 0" },
        { OF, "rules=[{}, {from: 8K, to: 4K}]", "fault: rule 2: to is not above from" },
        { OF, "rules=[{action: tear}]", "fault: rule 1: only a write can be torn" },
        { OF, "rules=[{error: EWHAT}]",
          "error: 'EWHAT' is not one of EIO, none, ENOSPC, EROFS, "
          "EREMOTEIO, EAGAIN, EBUSY, ETIMEDOUT" },
        { "of={options: {}}", "rules=[]", "of: the key 'handler' is missing" },
        { "of={handler: ram, option: {}}", "rules=[]",
          "unknown key 'option' (did you mean 'options'?)" },
        { "of={handler: ram}", "rules=[]", "size is missing" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = refusal(rows[i].of, rows[i].rules);
        g_assert_cmpstr(text, ==, rows[i].text);
    }
}

int main(int argc, char **argv)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(plugin_load_file(argv[1], &fault, &error), ==, 0);
    rig_init(&rig, 2);
    g_test_add_func("/fault/an-error-in-a-range", an_error_in_a_range);
    g_test_add_func("/fault/space-is-that-below", space_is_that_below);
    g_test_add_func("/fault/after-every-and-times", after_every_and_times);
    g_test_add_func("/fault/chance-is-the-same-with-the-same-seed",
                    chance_is_the_same_with_the_same_seed);
    g_test_add_func("/fault/a-torn-write-ends-in-the-middle", a_torn_write_ends_in_the_middle);
    g_test_add_func("/fault/a-lost-write-is-answered", a_lost_write_is_answered);
    g_test_add_func("/fault/a-delay-is-waited-for", a_delay_is_waited_for);
    g_test_add_func("/fault/what-hangs-goes-on-with-other-rules",
                    what_hangs_goes_on_with_other_rules);
    g_test_add_func("/fault/what-makes-no-sense-is-refused", what_makes_no_sense_is_refused);
    int r = g_test_run();
    rig_deinit(&rig);
    return r;
}
