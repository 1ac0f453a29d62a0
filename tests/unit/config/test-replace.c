/* SPDX-License-Identifier: BSD-3-Clause */
/* Another text for a file: what somebody else does meanwhile is not lost. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config/replace.h"

#define OLD "old: text\n"
#define NEW "new: text\n"

struct place {
    char *directory, *path, *beside, *others;
};

static void place_set_up(struct place *p, gconstpointer data)
{
    p->directory = g_dir_make_tmp("holdfast-replace.XXXXXX", NULL);
    g_assert_nonnull(p->directory);
    p->path = g_build_filename(p->directory, "a.yaml", NULL);
    p->beside = g_build_filename(p->directory, ".a.yaml.holdfastd", NULL);
    p->others = g_build_filename(p->directory, "a.yaml.new", NULL);
    g_assert_true(g_file_set_contents(p->path, OLD, -1, NULL));
    g_assert_true(g_file_set_contents(p->others, "mine", -1, NULL));
    g_assert_cmpint(chmod(p->path, 0640), ==, 0);
}

static void expect(const char *path, const char *text)
{
    g_autofree char *found = NULL;
    g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
    g_assert_cmpstr(found, ==, text);
}

static void place_tear_down(struct place *p, gconstpointer data)
{
    expect(p->others, "mine");
    g_assert_false(g_file_test(p->beside, G_FILE_TEST_EXISTS));
    g_remove(p->others);
    g_remove(p->path);
    g_assert_cmpint(g_rmdir(p->directory), ==, 0);
    g_free(p->directory);
    g_free(p->path);
    g_free(p->beside);
    g_free(p->others);
}

static char *prepare(const struct place *p, const struct config_seen *seen, const char *expected,
                     struct config_replacement **ret_replacement)
{
    const struct iovec pieces[] = { { (char *)"new", 3 }, { (char *)": text\n", 7 } };
    return config_replace_prepare(p->path, seen, expected, strlen(expected), pieces, 2,
                                  ret_replacement);
}

static const struct config_seen nothing;

static struct config_replacement *prepared(const struct place *p)
{
    struct config_replacement *r = NULL;
    g_autofree char *why = prepare(p, &nothing, OLD, &r);
    g_assert_null(why);
    expect(p->path, OLD);
    return r;
}

static void test_it_takes_the_place_with_its_mode(struct place *p, gconstpointer data)
{
    struct config_replacement *r = prepared(p);
    struct config_seen seen = { 0 };
    struct stat st;
    g_assert_cmpint(config_replace_commit(&r, &seen), ==, 0);
    g_assert_null(r);
    g_assert_cmpint(config_replace_commit(&r, &seen), ==, 0);
    expect(p->path, NEW);
    g_assert_cmpint(stat(p->path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
}

static void test_abandoned_nothing_has_happened(struct place *p, gconstpointer data)
{
    config_replace_abandon(prepared(p));
    expect(p->path, OLD);
}

static void test_an_edit_in_between_stays(struct place *p, gconstpointer data)
{
    g_autofree char *saved = g_build_filename(p->directory, "saved", NULL);
    struct config_seen seen = { 0 };
    for (unsigned how = 0; how < 2; how++) {
        struct config_replacement *r;
        g_assert_true(g_file_set_contents(p->path, OLD, -1, NULL));
        r = prepared(p);
        if (how == 0) { /* as an editor that writes another file and renames it */
            g_assert_true(g_file_set_contents(saved, "theirs: 1\n", -1, NULL));
            g_assert_cmpint(g_rename(saved, p->path), ==, 0);
        } else { /* in place */
            FILE *f = fopen(p->path, "w");
            g_assert_nonnull(f);
            fputs("theirs: 1\n", f);
            fclose(f);
        }
        g_assert_cmpint(config_replace_commit(&r, &seen), ==, -EBUSY);
        config_replace_abandon(r);
        expect(p->path, "theirs: 1\n");
    }
}

static void test_what_is_another_text_already_is_refused(struct place *p, gconstpointer data)
{
    struct config_replacement *r = NULL;
    g_autofree char *why = prepare(p, &nothing, "other", &r);
    g_assert_nonnull(strstr(why, "has changed since it was read"));
    g_assert_null(r);
    expect(p->path, OLD);
}

static struct config_seen written(const struct place *p)
{
    struct config_seen seen = { 0 };
    g_assert_true(g_file_set_contents(p->path, OLD, -1, NULL));
    struct config_replacement *r = prepared(p);
    g_assert_cmpint(config_replace_commit(&r, &seen), ==, 0);
    return seen;
}

static void test_what_it_has_written_is_not_read_again(struct place *p, gconstpointer data)
{
    struct config_seen seen = written(p);
    struct config_replacement *r = NULL;
    g_assert_true(seen.known);
    g_assert_null(prepare(p, &seen, "never looked at", &r));
    config_replace_abandon(r);
}

/* At once, in place, as many bytes. */
static void test_a_change_of_what_it_has_written_is_seen(struct place *p, gconstpointer data)
{
    for (unsigned i = 0; i < 50; i++) {
        struct config_seen seen = written(p);
        struct config_replacement *r = NULL;
        FILE *f = fopen(p->path, "r+");
        g_assert_nonnull(f);
        fputs("NEW: TEXT\n", f);
        fclose(f);
        g_autofree char *why = prepare(p, &seen, NEW, &r);
        g_assert_nonnull(strstr(why, "has changed since it was read"));
        g_assert_null(r);
        expect(p->path, "NEW: TEXT\n");
    }
}

/* As `touch -r` and `rsync -t` do. */
static void test_a_time_put_back_does_not_hide_it(struct place *p, gconstpointer data)
{
    struct config_seen seen = written(p);
    struct config_replacement *r = NULL;
    const struct timespec times[] = { seen.st.st_atim, seen.st.st_mtim };
    g_usleep(20000); /* the kernel's clock for files goes in steps */
    FILE *f = fopen(p->path, "r+");
    g_assert_nonnull(f);
    fputs("NEW: TEXT\n", f);
    fclose(f);
    g_assert_cmpint(utimensat(AT_FDCWD, p->path, times, 0), ==, 0);
    g_autofree char *why = prepare(p, &seen, NEW, &r);
    g_assert_nonnull(strstr(why, "has changed since it was read"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct place *p, gconstpointer data);
    } tests[] = {
        { "takes-the-place-with-its-mode", test_it_takes_the_place_with_its_mode },
        { "abandoned-nothing-has-happened", test_abandoned_nothing_has_happened },
        { "an-edit-in-between-stays", test_an_edit_in_between_stays },
        { "what-is-another-text-already-is-refused", test_what_is_another_text_already_is_refused },
        { "what-it-has-written-is-not-read-again", test_what_it_has_written_is_not_read_again },
        { "a-change-of-what-it-has-written-is-seen", test_a_change_of_what_it_has_written_is_seen },
        { "a-time-put-back-does-not-hide-it", test_a_time_put_back_does_not_hide_it },
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/config/replace/%s", tests[i].name);
        g_test_add(path, struct place, NULL, place_set_up, tests[i].run, place_tear_down);
    }
    return g_test_run();
}
