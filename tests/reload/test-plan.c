/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plans from pairs of files: each folder of plans/ has old.yaml, new.yaml and what is expected of the
 * way from one to the other: the plan as text, or the problems that stand in the way. A file
 * `sessions` (one "TARGET INITIATOR" a line) asks whom each step touches.
 */
#include <glib.h>
#include <string.h>

#include "config/schema.h"
#include "reload/plan.h"
#include "reload/rows.h"

static struct config *load(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;
    gsize length = 0;
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    int r = config_parse(text, length, name, &config, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    g_assert_cmpint(r, ==, 0);
    return config;
}

static void put_touched(const struct plan *plan, char *const *sessions, GString *out)
{
    for (unsigned i = 0; i < plan->count; i++) {
        g_autofree char *name = plan_step_name(&plan->steps[i]);
        for (char *const *s = sessions; *s && **s; s++) {
            g_auto(GStrv) words = g_strsplit(*s, " ", 2);
            if (plan_step_touches(&plan->steps[i], words[0], words[1], NULL))
                g_string_append_printf(
                    out, "%s %s touches %s at %s\n", plan_kind_name(plan->steps[i].kind),
                    *name ? name : plan_object_name(plan->steps[i].object), words[1], words[0]);
        }
    }
}

static char *plan_text(const char *folder, const struct config *from, const struct config *to)
{
    GString *out = g_string_new(NULL);
    struct config_problems *problems = config_problems_new();
    struct plan *plan = NULL;
    if (plan_make(from, to, &plan, problems) == 0) {
        g_autofree char *path = g_build_filename(folder, "sessions", NULL);
        g_autofree char *text = NULL;
        plan_format(plan, out);
        if (g_file_get_contents(path, &text, NULL, NULL)) {
            g_auto(GStrv) sessions = g_strsplit(text, "\n", -1);
            put_touched(plan, sessions, out);
        }
    }
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_string_append_printf(out, "%s\n", line);
    }
    config_problems_free(problems);
    plan_free(plan);
    return g_string_free(out, FALSE);
}

static void test_pair(gconstpointer data)
{
    const char *folder = data;
    g_autofree char *path = g_build_filename(folder, "expected", NULL);
    g_autofree char *expected = NULL;
    struct config *from = load(folder, "old.yaml"), *to = load(folder, "new.yaml");
    g_autofree char *text = plan_text(folder, from, to);
    if (g_getenv("PLAN_WRITE_EXPECTED")) /* to be read before it is committed */
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_true(g_file_get_contents(path, &expected, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
    config_free(from);
    config_free(to);
}

/* The plan from a file to itself is empty. */
static void test_same(gconstpointer data)
{
    struct config *one = load(data, "new.yaml"), *other = load(data, "new.yaml");
    g_autofree char *text = plan_text("/nonexistent", one, other);
    g_assert_cmpstr(text, ==, "");
    config_free(one);
    config_free(other);
}

/* What the file may say and what a reload looks at are the same keys. */
static void test_every_key_has_a_row(void)
{
    static const struct {
        const char *schema;
        const struct plan_row *rows;
    } tables[] = {
        { "daemon", plan_daemon_rows }, { "portal", plan_portal_rows },
        { "target", plan_target_rows }, { "session", plan_session_rows },
        { "lun", plan_lun_rows },
        { "discovery", plan_discovery_rows }, { "redirect", plan_redirect_rows },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
        const struct config_schema *const *s = config_schemas;
        while (strcmp((*s)->name, tables[i].schema) != 0)
            s++;
        for (const struct config_field *f = (*s)->fields; f->key; f++) {
            const struct plan_row *row = tables[i].rows;
            while (row->key && strcmp(row->key, f->key) != 0)
                row++;
            g_assert_cmpstr(row->key, ==, f->key);
        }
    }
}

int main(int argc, char **argv)
{
    GDir *dir = g_dir_open(PLANS_DIR, 0, NULL);
    const char *name;
    unsigned count = 0;
    g_test_init(&argc, &argv, NULL);
    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        char *folder = g_build_filename(PLANS_DIR, name, NULL);
        g_autofree char *pair = g_strdup_printf("/reload/plan/%s", name);
        g_autofree char *same = g_strdup_printf("/reload/plan/%s/to-itself", name);
        g_test_add_data_func_full(pair, folder, test_pair, NULL);
        g_test_add_data_func_full(same, folder, test_same, g_free);
        count++;
    }
    g_dir_close(dir);
    g_assert_cmpuint(count, >, 0);
    g_test_add_func("/reload/every-key-has-a-row", test_every_key_has_a_row);
    return g_test_run();
}
