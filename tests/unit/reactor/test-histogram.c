/* SPDX-License-Identifier: BSD-3-Clause */
/* Durations by powers of two. */
#include "reactor/histogram.h"

#include <glib.h>

static void test_a_bound_belongs_to_its_bucket(void)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        g_assert_cmpuint(histogram_index(histogram_bound_ns(i)), ==, i);
        g_assert_cmpuint(histogram_index(histogram_bound_ns(i) + 1), ==, i + 1);
    }
    g_assert_cmpuint(histogram_index(0), ==, 0);
    g_assert_cmpuint(histogram_index(UINT64_MAX), ==, HISTOGRAM_BUCKETS - 1);
    g_assert_cmpuint(histogram_bound_ns(0), ==, 8192);
    g_assert_true(histogram_bound_ns(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static void test_counts_and_sums_add_up(void)
{
    struct histogram one = { 0 }, two = { 0 }, sum = { 0 };
    for (uint64_t ns = 1; ns < UINT64_C(1) << 40; ns *= 3)
        histogram_add(&one, ns);
    histogram_add(&two, 5000);
    histogram_add(&two, 7);
    histogram_collect(&sum, &one);
    histogram_collect(&sum, &two);
    g_assert_cmpuint(histogram_count(&sum), ==, histogram_count(&one) + 2);
    g_assert_true(sum.sum_ns == one.sum_ns + 5007);
    g_assert_true(sum.bucket[0] == one.bucket[0] + 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/histogram/a-bound-belongs-to-its-bucket",
                    test_a_bound_belongs_to_its_bucket);
    g_test_add_func("/reactor/histogram/counts-and-sums-add-up", test_counts_and_sums_add_up);
    return g_test_run();
}
