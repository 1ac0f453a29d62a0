/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets set and removed one by one, with a slice of the file: after each change text and model are those
 * that come from editing and reading the whole file, and what was read for it is the same few nodes however
 * many targets there are.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "config/edit.h"
#include "config/revise.h"
#include "config/yaml.h"

/* ---- two configurations, compared ---- */

static void same_node(const struct config_node *a, const struct config_node *b)
{
    g_assert_true(!a == !b);
    if (!a)
        return;
    g_assert_cmpint(a->type, ==, b->type);
    g_assert_cmpstr(a->text, ==, b->text);
    g_assert_cmpuint(config_node_line(a), ==, config_node_line(b));
    g_assert_cmpuint(a->column, ==, b->column);
    g_assert_cmpstr(config_node_file(a), ==, config_node_file(b));
    g_assert_true(a->private == b->private);
    g_assert_cmpuint(a->count, ==, b->count);
    for (unsigned i = 0; a->type != CONFIG_SCALAR && i < a->count; i++) {
        if (a->type == CONFIG_SEQUENCE) {
            same_node(a->items[i], b->items[i]);
        } else {
            same_node(a->entries[i].key, b->entries[i].key);
            same_node(a->entries[i].value, b->entries[i].value);
        }
    }
}

static void same_lun(const struct config_lun *a, const struct config_lun *b)
{
    same_node(a->node, b->node);
    same_node(a->options, b->options);
    g_assert_cmpuint(a->number, ==, b->number);
    g_assert_cmpstr(a->handler, ==, b->handler);
    g_assert_cmpstr(a->serial, ==, b->serial);
    g_assert_true(a->read_only == b->read_only);
    g_assert_cmpuint(a->deadline_ns, ==, b->deadline_ns);
}

static void same_target(const struct config *c, const struct config_target *a,
                        const struct config *d, const struct config_target *b)
{
    same_node(a->key_node, b->key_node);
    same_node(a->node, b->node);
    g_assert_cmpstr(a->name, ==, b->name);
    g_assert_cmpstr(a->alias, ==, b->alias);
    g_assert_cmpuint(a->portal_count, ==, b->portal_count);
    for (unsigned i = 0; i < a->portal_count; i++)
        g_assert_cmpint(a->portals[i] - c->portals, ==, b->portals[i] - d->portals);
    g_assert_cmpint(a->auth ? a->auth - c->auths : -1, ==, b->auth ? b->auth - d->auths : -1);
    g_assert_cmpuint(a->session.command_window, ==, b->session.command_window);
    g_assert_cmpuint(a->lun_count, ==, b->lun_count);
    for (unsigned i = 0; i < a->lun_count; i++)
        same_lun(&a->luns[i], &b->luns[i]);
}

static void same_config(const struct config *a, const struct config *b)
{
    g_assert_cmpuint(a->target_count, ==, b->target_count);
    for (unsigned i = 0; i < a->target_count; i++) {
        same_target(a, a->targets[i], b, b->targets[i]);
        g_assert_true(config_find_target(a, a->targets[i]->name) == a->targets[i]);
    }
    for (unsigned i = 0; i < a->root->count; i++) {
        same_node(a->root->entries[i].key, b->root->entries[i].key);
        if (strcmp(a->root->entries[i].key->text, "targets") != 0)
            same_node(a->root->entries[i].value, b->root->entries[i].value);
    }
}

/* ---- a file that is changed in both ways ---- */

struct file {
    char *text;
    size_t length;
    struct config *config;
    GPtrArray *gone; /* revisions that were applied */
    unsigned sliced; /* changes that needed no look at the whole */
};

static void no_problem(struct config_problems *problems)
{
    if (config_problems_count(problems))
        g_test_message("%s", config_problems_get(problems, 0)->text);
    g_assert_cmpuint(config_problems_count(problems), ==, 0);
    config_problems_free(problems);
}

static struct config *read_whole(const char *text, size_t length)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    config_parse(text, length, "f", &config, problems);
    no_problem(problems);
    return config;
}

static void free_revision(gpointer data)
{
    config_revision_free(data);
}

static void open_file(struct file *f, const char *text)
{
    *f = (struct file){ .text = g_strdup(text), .length = strlen(text) };
    f->gone = g_ptr_array_new_with_free_func(free_revision);
    f->config = read_whole(f->text, f->length);
}

static void close_file(struct file *f)
{
    f->config = config_free(f->config);
    g_ptr_array_free(f->gone, TRUE);
    g_free(f->text);
}

/* 0 and the new text, as a verb makes it of a slice; or why it has to be done with the whole. */
static int change_slice(struct file *f, const char *const *path, const char *value, char **ret_text,
                        size_t *ret_length)
{
    struct config_slice slice;
    struct config_revision *r = NULL;
    char *edited = NULL;
    size_t length = 0;
    int error = config_slice_cut(f->config, f->text, f->length, path[1], &slice);
    if (error < 0)
        return error;
    error = config_edit(slice.text, slice.length, path, value, &edited, &length);
    if (error == 0)
        error = config_revision_new(f->config, &slice, edited, length, path[1], &r);
    if (error == 0) {
        struct config_patch patch = config_revision_patch(r);
        *ret_text = config_patch_apply(&patch, f->text, f->length, ret_length);
        g_autofree char *joined =
            config_slice_join(&slice, edited, length, f->text, f->length, &length);
        g_assert_cmpmem(joined, length, *ret_text, *ret_length);
        g_autofree char *put = g_memdup2(f->text, f->length);
        length = f->length;
        put = config_patch_put(&patch, put, &length);
        g_assert_cmpmem(put, length + 1, *ret_text, *ret_length + 1);
        config_revision_apply(f->config, r);
        g_ptr_array_add(f->gone, r);
    }
    g_free(edited);
    config_slice_clear(&slice);
    return error;
}

/* The same as config_edit() of the whole text and reading it; the result of that. */
static int change(struct file *f, const char *target, const char *lun, const char *key,
                  const char *value)
{
    const char *path[] = { "targets", target, lun ? "luns" : key, lun, key, NULL };
    char *whole = NULL, *sliced = NULL;
    size_t whole_length = 0, sliced_length = 0;
    if (!lun)
        path[3] = NULL;
    int error = config_edit(f->text, f->length, path, value, &whole, &whole_length);
    int r = change_slice(f, path, value, &sliced, &sliced_length);
    if (error == 0 && (r == -ENOTSUP || r == -EINVAL)) { /* by way of the whole */
        config_free(f->config);
        f->config = read_whole(whole, whole_length);
        sliced = g_strdup(whole);
        sliced_length = whole_length;
    } else if (r != -ENOTSUP) {
        g_assert_cmpint(r, ==, error);
        f->sliced += r == 0;
    }
    if (error == 0) {
        g_assert_cmpmem(sliced, sliced_length, whole, whole_length);
        struct config *fresh = read_whole(whole, whole_length);
        same_config(f->config, fresh);
        config_free(fresh);
        g_free(f->text);
        f->text = g_steal_pointer(&sliced);
        f->length = sliced_length;
    }
    g_free(whole);
    g_free(sliced);
    return error;
}

#define NAME "iqn.2026-11.org.example:"

/* ---- tests ---- */

static const char *const mixed = "# everything that a file may have\n"
                                 "version: 1\n"
                                 "portals:\n"
                                 "  a: { listen: [\"127.0.0.1:3260\"] }\n"
                                 "  b: { listen: [\"127.0.0.1:3261\"], tag: 2 }\n"
                                 "auth:\n"
                                 "  lab: { plugin: chap, options: { users: [] } }\n"
                                 "targets:   # of them several\n"
                                 "  # the first\n"
                                 "  iqn.2026-11.org.example:t0:\n"
                                 "    alias: \"über # all\"\n"
                                 "    portals: [b]\n"
                                 "    auth: lab\n"
                                 "    luns:\n"
                                 "      0: { handler: ram, options: { size: 1M } }\n"
                                 "\n"
                                 "      # after an empty line\n"
                                 "      1:\n"
                                 "        handler: 'null'\n"
                                 "        options:\n"
                                 "          size: 1G\n"
                                 "  \"IQN.2026-11.org.example:T1\": { luns: { 0: { handler: ram, "
                                 "serial: one } } } # on one line\n"
                                 "  # between\n"
                                 "\n"
                                 "  iqn.2026-11.org.example:t2:\n"
                                 "    luns: {\n"
                                 "      0: { handler: ram, options: { size: 1M } },\n"
                                 "      3: { handler: ram } }\n"
                                 "  iqn.2026-11.org.example:t3: { luns: {} }\n"
                                 "# the end of targets\n"
                                 "daemon: { user: nobody,\n"
                                 "  reactors: 1 }\n";

static void each_change_is_that_of_the_whole_file(void)
{
    struct file f;
    open_file(&f, mixed);
    g_assert_cmpint(change(&f, NAME "t0", "7", "handler", "ram"), ==, 0);
    g_assert_cmpint(change(&f, NAME "t1", NULL, "alias", "short"), ==, 0);
    g_assert_cmpint(change(&f, NAME "t2", "3", NULL, NULL), ==, 0);
    g_assert_cmpint(change(&f, NAME "t3", NULL, "luns", "{ 2: { handler: ram } }"), ==, 0);
    g_assert_cmpint(change(&f, NAME "t4", NULL, NULL, "{ luns: { 1: { handler: ram } } }"), ==, 0);
    g_assert_cmpint(change(&f, NAME "t1", NULL, NULL, NULL), ==, 0);
    g_assert_cmpint(change(&f, NAME "t4", "1", "serial", "one"), ==, 0);
    g_assert_cmpint(change(&f, NAME "none", NULL, NULL, NULL), ==, -ENOENT);
    g_assert_cmpuint(f.sliced, ==, 7);
    close_file(&f);
}

static void random_changes_are_those_of_the_whole_file(void)
{
    static const char *const handlers[] = { "ram", "'null'", "file", "\"block\"" };
    for (unsigned round = 0; round < 4; round++) {
        struct file f;
        open_file(&f, mixed);
        for (unsigned i = 0; i < 150; i++) {
            g_autofree char *target = g_strdup_printf(NAME "t%d", g_test_rand_int_range(0, 12));
            g_autofree char *lun = g_strdup_printf("%d", g_test_rand_int_range(0, 4));
            g_autofree char *value = g_strdup_printf("{ handler: %s, options: { size: %dM } }",
                                                     handlers[g_test_rand_int_range(0, 4)], i + 1);
            switch (g_test_rand_int_range(0, 6)) {
            case 0:
                change(&f, target, NULL, NULL, NULL);
                break;
            case 1:
                change(&f, target, NULL, NULL, "{ luns: {} }");
                break;
            case 2:
                change(&f, target, lun, NULL, NULL);
                break;
            case 3:
                if (config_find_target(f.config, target))
                    change(&f, target, NULL, "alias", i % 2 ? "x" : NULL);
                break;
            default:
                change(&f, target, lun, NULL, value);
            }
        }
        g_assert_cmpuint(f.sliced, >, 20);
        close_file(&f);
    }
}

static char *many_targets(unsigned count)
{
    GString *text = g_string_new("version: 1\nportals: { a: { listen: [\"127.0.0.1:3260\"] } }\n"
                                 "targets:\n");
    for (unsigned i = 0; i < count; i++)
        g_string_append_printf(text, "  " NAME "t%u:\n    luns: { 0: { handler: ram } }\n", i);
    return g_string_free(text, FALSE);
}

/* Nodes that are read for a new LUN in the middle, a new target, and its end. */
static unsigned long nodes_read(unsigned count)
{
    static const char *const lun[] = { "targets", NAME "t7", "luns", "1", NULL },
                             *const target[] = { "targets", NAME "new", NULL };
    g_autofree char *text = many_targets(count);
    char *out = NULL;
    size_t length = 0;
    struct file f;
    open_file(&f, text);
    unsigned long before = config_nodes_made();
    g_assert_cmpint(change_slice(&f, lun, "{ handler: ram }", &out, &length), ==, 0);
    g_free(f.text);
    f.text = out;
    f.length = length;
    g_assert_cmpint(change_slice(&f, target, "{ luns: {} }", &out, &length), ==, 0);
    g_free(f.text);
    f.text = out;
    f.length = length;
    g_assert_cmpint(change_slice(&f, target, NULL, &out, &length), ==, 0);
    unsigned long made = config_nodes_made() - before;
    g_free(f.text);
    f.text = out;
    close_file(&f);
    return made;
}

static void what_is_read_does_not_grow_with_the_file(void)
{
    unsigned long few = nodes_read(20);
    g_assert_cmpuint(few, >, 0);
    g_assert_cmpuint(few, <, 200);
    g_assert_cmpuint(nodes_read(200), ==, few);
    g_assert_cmpuint(nodes_read(5000), ==, few);
}

/* Each is left to who reads all of it. */
static void what_is_wrong_is_not_judged_by_a_slice(void)
{
    static const char *const keys[][2] = { { "handler", "[1]" },
                                           { "nonsense", "1" },
                                           { "serial", "one" }, /* of another LUN */
                                           { "block-size", "513" } };
    struct config_slice slice;
    struct file f;
    open_file(&f, mixed);
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *path[] = { "targets", NAME "t0", "luns", "0", keys[i][0], NULL };
        char *text = NULL;
        size_t length = 0;
        g_assert_cmpint(change_slice(&f, path, keys[i][1], &text, &length), ==, -EINVAL);
        g_assert_null(text);
    }
    g_assert_cmpint(config_slice_cut(f.config, f.text, f.length, NAME "t0", &slice), ==, 0);
    g_autofree char *other = g_strconcat("version: 2\n", slice.text, NULL);
    struct config_revision *r = NULL;
    g_assert_cmpint(config_revision_new(f.config, &slice, other, strlen(other), NAME "t0", &r), ==,
                    -EINVAL);
    g_assert_null(
        config_slice_join(&slice, other, strlen(other), f.text, f.length, &(size_t){ 0 }));
    config_slice_clear(&slice);
    struct config *fresh = read_whole(f.text, f.length);
    same_config(f.config, fresh);
    config_free(fresh);
    close_file(&f);
}

static void files_of_another_form_are_not_cut(void)
{
    static const char *const forms[] = {
        "version: 1\nportals: { a: { listen: [\"127.0.0.1:1\"] } }\n",
        "version: 1\nportals: { a: { listen: [\"127.0.0.1:1\"] } }\ntargets: {}\n",
        "version: 1\nportals: { a: { listen: [\"127.0.0.1:1\"] } }\ntargets: {\n  " NAME
        "t0: { luns: {} },\n  " NAME "t1: { luns: {} } }\n",
        "version: 1\nportals: { a: { listen: [\"127.0.0.1:1\"] } }\ntargets:\n  ? " NAME
        "t0\n  : { luns: {} }\n  " NAME "t1: { luns: {} }\n",
        "version: 1\nportals: { a: { listen: [\"127.0.0.1:1\"] } }\ntargets:\n  " NAME
        "t0: { luns: {} }\n",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        struct config_slice slice = { 0 };
        struct file f;
        open_file(&f, forms[i]);
        g_assert_cmpint(config_slice_cut(f.config, f.text, f.length, NAME "t0", &slice), ==,
                        -ENOTSUP);
        close_file(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/revise/each", each_change_is_that_of_the_whole_file);
    g_test_add_func("/config/revise/random", random_changes_are_those_of_the_whole_file);
    g_test_add_func("/config/revise/work", what_is_read_does_not_grow_with_the_file);
    g_test_add_func("/config/revise/wrong", what_is_wrong_is_not_judged_by_a_slice);
    g_test_add_func("/config/revise/forms", files_of_another_form_are_not_cut);
    return g_test_run();
}
