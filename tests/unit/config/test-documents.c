/* SPDX-License-Identifier: BSD-3-Clause */
/* The commented example and the man page know every key that the program knows. */
#include <string.h>

#include "config/model.h"
#include "config/schema.h"
#include "expect.h"

static char *read_file(const char *name)
{
    g_autofree char *path = g_build_filename(CONF_DIR, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static struct config *parse(const char *text)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    config_parse(text, strlen(text), "f", &config, problems);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==, "");
    return config;
}

/* The keys of the schema that `pattern` (with the key for %s) does not find in `text`. */
static char *missing_keys(const char *text, const char *pattern)
{
    GString *missing = g_string_new(NULL);
    g_auto(GStrv) parts = g_strsplit(pattern, "%s", 2);
    for (const struct config_schema *const *s = config_schemas; *s; s++) {
        for (const struct config_field *f = (*s)->fields; f->key; f++) {
            g_autofree char *regex = g_strconcat(parts[0], f->key, parts[1], NULL);
            if (!g_regex_match_simple(regex, text, G_REGEX_MULTILINE, 0))
                g_string_append_printf(missing, "%s/%s ", (*s)->name, f->key);
        }
    }
    return g_string_free(missing, FALSE);
}

static void the_example_is_valid_and_has_every_key(void)
{
    g_autofree char *text = read_file("holdfast.yaml");
    g_autofree char *missing = missing_keys(text, "^ *(# )? *%s:");
    g_assert_cmpstr(missing, ==, "");
    config_free(parse(text));
}

/* Comment signs before keys taken away, it is still a valid file. */
static void what_the_example_has_in_comments_is_valid_too(void)
{
    g_autofree char *text = read_file("holdfast.yaml");
    g_autoptr(GRegex) comment =
        g_regex_new("^( *)# ( *)(?=- \\{|[a-z0-9-]+:( |$))", G_REGEX_MULTILINE, 0, NULL);
    g_autofree char *all = g_regex_replace(comment, text, -1, 0, "\\1\\2", 0, NULL);
    struct config *c = parse(all);
    g_assert_cmpstr(c->daemon.user, ==, "holdfast");
    g_assert_cmpstr(c->fence.plugin, ==, "nftables");
    g_assert_cmpuint(c->auth_count, ==, 1);
    g_assert_cmpuint(c->targets[0]->lun_count, ==, 2);
    g_assert_cmpuint(c->targets[0]->luns[0].naa_length, ==, 16);
    config_free(c);
}

/* What it says about defaults is true: without those lines the configuration is the same. */
static void the_example_shows_the_defaults(void)
{
    g_autofree char *text = read_file("holdfast.yaml");
    struct config *c = parse(text);
    struct config *d =
        parse("version: 1\n"
              "portals: { san: { listen: [\"0.0.0.0\", \"[::]\"] } }\n"
              "targets: { iqn.2026-11.org.example:disk1: { luns: { 0: { handler: ram,\n"
              "  options: { size: 64M } } } } }\n");
    struct config_daemon *a = &c->daemon, *b = &d->daemon;
    g_assert_cmpstr(a->state_directory, ==, b->state_directory);
    g_assert_cmpstr(a->control_socket, ==, b->control_socket);
    g_assert_null(a->plugin_path[0]);
    a->node = b->node;
    a->state_directory = b->state_directory;
    a->control_socket = b->control_socket;
    a->plugin_path = b->plugin_path;
    g_assert_cmpmem(a, sizeof(*a), b, sizeof(*b));

    struct config_session *s = &c->targets[0]->session, *t = &d->targets[0]->session;
    s->node = s->first_burst_node = s->max_burst_node = NULL;
    g_assert_cmpmem(s, sizeof(*s), t, sizeof(*t));
    g_assert_cmpuint(c->portals[0].tag, ==, d->portals[0].tag);
    g_assert_cmpuint(c->portals[0].access_state, ==, d->portals[0].access_state);
    g_assert_null(c->targets[0]->auth);
    const struct config_lun *l = &c->targets[0]->luns[0], *m = &d->targets[0]->luns[0];
    g_assert_cmpint(l->read_only, ==, m->read_only);
    g_assert_cmpint(l->rotational, ==, m->rotational);
    g_assert_cmpuint(l->block_size, ==, m->block_size);
    g_assert_cmpuint(l->physical_block_size, ==, m->physical_block_size);
    g_assert_cmpuint(l->max_compare_and_write, ==, m->max_compare_and_write);
    g_assert_cmpuint(l->sanitize_rate, ==, m->sanitize_rate);
    g_assert_cmpuint(l->deadline_ns, ==, m->deadline_ns);
    g_assert_cmpuint(l->when_late, ==, m->when_late);
    g_assert_cmpint(l->removable, ==, m->removable);
    config_free(c);
    config_free(d);
}

static void the_man_page_has_every_key_and_no_other(void)
{
    g_autofree char *text = read_file("man/holdfast.yaml.5");
    g_autofree char *missing = missing_keys(text, "^\\.It Cm %s$");
    g_assert_cmpstr(missing, ==, "");

    g_autoptr(GRegex) item = g_regex_new("^\\.It Cm ([a-z0-9-]+)$", G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    for (g_regex_match(item, text, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *key = g_match_info_fetch(match, 1);
        bool known = false;
        for (const struct config_schema *const *s = config_schemas; *s; s++)
            for (const struct config_field *f = (*s)->fields; f->key; f++)
                known |= strcmp(f->key, key) == 0;
        g_test_message("%s", key);
        g_assert_true(known);
    }
}

/* A default goes through the same reader as a file: one that is wrong would be a silent zero. */
static void every_default_of_the_tables_is_in_the_man_page(void)
{
    g_autofree char *text = read_file("man/holdfast.yaml.5");
    for (const struct config_schema *const *s = config_schemas; *s; s++) {
        for (const struct config_field *f = (*s)->fields; f->key; f++) {
            if (!f->fallback)
                continue;
            g_autofree char *item = g_strdup_printf(".It Cm %s\n", f->key);
            const char *at = strstr(text, item);
            g_assert_nonnull(at);
            g_test_message("%s/%s: %s", (*s)->name, f->key, f->fallback);
            g_autofree char *value = g_regex_escape_string(f->fallback, -1);
            g_autofree char *regex = g_strdup_printf(
                "[Dd]efault\\s+(\\.(Li|Pa) )?%s(?![\\w/])|^\\.Li %s\n\\.Pq the default", value,
                value);
            bool found = false;
            for (; at && !found; at = strstr(at + 1, item)) {
                const char *end = strstr(at + 1, "\n.It Cm ");
                g_autofree char *words = end ? g_strndup(at, (gsize)(end - at)) : g_strdup(at);
                found = g_regex_match_simple(regex, words, G_REGEX_MULTILINE, 0);
            }
            g_assert_true(found);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/documents/the-example-is-valid-and-has-every-key",
                    the_example_is_valid_and_has_every_key);
    g_test_add_func("/config/documents/what-the-example-has-in-comments-is-valid-too",
                    what_the_example_has_in_comments_is_valid_too);
    g_test_add_func("/config/documents/the-example-shows-the-defaults",
                    the_example_shows_the_defaults);
    g_test_add_func("/config/documents/the-man-page-has-every-key-and-no-other",
                    the_man_page_has_every_key_and_no_other);
    g_test_add_func("/config/documents/every-default-of-the-tables-is-in-the-man-page",
                    every_default_of_the_tables_is_in_the_man_page);
    return g_test_run();
}
