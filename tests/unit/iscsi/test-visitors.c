/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has been here: over one process and the next, with full, damaged and missing files. */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>

#include "iscsi/visitors.h"
#include "reactor/pool.h"

static char *folder;

/* One process: what was added is written when it ends. */
struct life {
    struct pool *pool;
    struct visitors *visitors;
};

static struct life begin(const char *state_directory)
{
    struct life l = { 0 };
    g_assert_cmpint(pool_create("test", 2, &l.pool), ==, 0);
    g_assert_cmpint(visitors_open(state_directory, l.pool, &l.visitors), ==, 0);
    return l;
}

static void end(struct life l)
{
    visitors_close(l.visitors);
    pool_destroy(l.pool);
}

static char *file(const char *name)
{
    return g_build_filename(folder, "visitors", name, NULL);
}

static void forget(void)
{
    g_autofree char *newer = file("newer"), *older = file("older");
    g_unlink(newer);
    g_unlink(older);
}

static void each_part_of_the_name_counts(void)
{
    const uint8_t a[6] = { 0x80, 1, 2, 3, 4, 5 }, b[6] = { 0x80, 1, 2, 3, 4, 6 };
    uint64_t n = visitors_number("iqn.a", a, "iqn.t", 1);
    g_assert_cmphex(n, ==, visitors_number("iqn.a", a, "iqn.t", 1));
    g_assert_cmphex(n, !=, visitors_number("iqn.b", a, "iqn.t", 1));
    g_assert_cmphex(n, !=, visitors_number("iqn.a", b, "iqn.t", 1));
    g_assert_cmphex(n, !=, visitors_number("iqn.a", a, "iqn.u", 1));
    g_assert_cmphex(n, !=, visitors_number("iqn.a", a, "iqn.t", 2));
    g_assert_cmphex(visitors_number("iqn.ai", a, "qn.t", 1), !=, n);
}

static void whoever_was_here_is_not_new_to_the_next_process(void)
{
    forget();
    struct life l = begin(folder);
    g_assert_true(visitors_is_new(l.visitors, 7));
    visitors_add(l.visitors, 7);
    visitors_add(l.visitors, 7);
    g_assert_false(visitors_is_new(l.visitors, 7));
    end(l);
    l = begin(folder);
    g_assert_false(visitors_is_new(l.visitors, 7));
    g_assert_true(visitors_is_new(l.visitors, 8));
    end(l);
    g_autofree char *newer = file("newer");
    GStatBuf st;
    g_assert_cmpint(g_stat(newer, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 8);
}

static void the_oldest_are_forgotten(void)
{
    const uint64_t most = 2 * VISITORS_A_FILE + 10;
    forget();
    struct life l = begin(folder);
    for (uint64_t n = 1; n <= most; n++)
        visitors_add(l.visitors, n);
    g_assert_true(visitors_is_new(l.visitors, 1));
    g_assert_false(visitors_is_new(l.visitors, VISITORS_A_FILE + 1));
    end(l);
    l = begin(folder);
    g_assert_true(visitors_is_new(l.visitors, 1));
    g_assert_false(visitors_is_new(l.visitors, most));
    unsigned known = 0;
    for (uint64_t n = 1; n <= most; n++)
        known += !visitors_is_new(l.visitors, n);
    g_assert_cmpuint(known, >=, VISITORS_A_FILE);
    g_assert_cmpuint(known, <=, 2 * VISITORS_A_FILE);
    end(l);
}

static void a_number_that_was_cut_short_is_taken_off(void)
{
    forget();
    struct life l = begin(folder);
    visitors_add(l.visitors, 7);
    end(l);
    g_autofree char *newer = file("newer");
    FILE *f = fopen(newer, "a");
    g_assert_nonnull(f);
    g_assert_cmpint(fputs("odd", f), >=, 0);
    g_assert_cmpint(fclose(f), ==, 0);
    l = begin(folder);
    visitors_add(l.visitors, 8);
    end(l);
    l = begin(folder);
    g_assert_false(visitors_is_new(l.visitors, 7));
    g_assert_false(visitors_is_new(l.visitors, 8));
    end(l);
}

static void where_nothing_is_kept_nobody_is_new(void)
{
    g_autofree char *in_the_way = g_build_filename(folder, "file", NULL);
    g_assert_true(g_file_set_contents(in_the_way, "", 0, NULL));
    const char *const directories[] = { NULL, in_the_way };
    for (unsigned i = 0; i < G_N_ELEMENTS(directories); i++) {
        struct life l = begin(directories[i]);
        g_assert_false(visitors_is_new(l.visitors, 7));
        visitors_add(l.visitors, 7);
        end(l);
    }
    g_assert_false(visitors_is_new(NULL, 7));
    visitors_add(NULL, 7);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("holdfast-visitors-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_test_add_func("/iscsi/visitors/names", each_part_of_the_name_counts);
    g_test_add_func("/iscsi/visitors/next-process",
                    whoever_was_here_is_not_new_to_the_next_process);
    g_test_add_func("/iscsi/visitors/oldest", the_oldest_are_forgotten);
    g_test_add_func("/iscsi/visitors/cut", a_number_that_was_cut_short_is_taken_off);
    g_test_add_func("/iscsi/visitors/nowhere", where_nothing_is_kept_nobody_is_new);
    int r = g_test_run();
    forget();
    g_autofree char *inner = g_build_filename(folder, "visitors", NULL);
    g_autofree char *in_the_way = g_build_filename(folder, "file", NULL);
    g_unlink(in_the_way);
    g_rmdir(inner);
    g_rmdir(folder);
    g_free(folder);
    return r;
}
