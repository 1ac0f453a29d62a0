/* SPDX-License-Identifier: BSD-3-Clause */
/* Another text for a file: what somebody else does meanwhile is not lost. */
#include <errno.h>
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

static struct config_replacement *prepared(const struct place *p)
{
    struct config_replacement *r = NULL;
    g_autofree char *why = config_replace_prepare(p->path, OLD, strlen(OLD), NEW, strlen(NEW), &r);
    g_assert_null(why);
    expect(p->path, OLD);
    return r;
}

static void test_it_takes_the_place_with_its_mode(struct place *p, gconstpointer data)
{
    struct config_replacement *r = prepared(p);
    struct stat st;
    g_assert_cmpint(config_replace_commit(&r), ==, 0);
    g_assert_null(r);
    g_assert_cmpint(config_replace_commit(&r), ==, 0);
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
        g_assert_cmpint(config_replace_commit(&r), ==, -EBUSY);
        config_replace_abandon(r);
        expect(p->path, "theirs: 1\n");
    }
}

static void test_what_is_another_text_already_is_refused(struct place *p, gconstpointer data)
{
    struct config_replacement *r = NULL;
    g_autofree char *why =
        config_replace_prepare(p->path, "other", strlen("other"), NEW, strlen(NEW), &r);
    g_assert_nonnull(strstr(why, "has changed since it was read"));
    g_assert_null(r);
    expect(p->path, OLD);
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
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/config/replace/%s", tests[i].name);
        g_test_add(path, struct place, NULL, place_set_up, tests[i].run, place_tear_down);
    }
    return g_test_run();
}
