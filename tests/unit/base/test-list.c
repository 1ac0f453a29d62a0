/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>

#include "base/list.h"

struct item {
    int value;
    struct list link;
};

/* "1 2 3" of a list, walked forwards and, to be sure of the links, backwards. */
static void expect(struct list *head, const char *values)
{
    g_autoptr(GString) forwards = g_string_new(NULL), backwards = g_string_new(NULL);
    list_for_each(pos, head) g_string_append_printf(forwards, "%s%d", forwards->len ? " " : "",
                                                    list_entry(pos, struct item, link)->value);
    for (struct list *pos = head->prev; pos != head; pos = pos->prev) {
        g_autofree char *text = g_strdup_printf("%d%s", list_entry(pos, struct item, link)->value,
                                                backwards->len ? " " : "");
        g_string_prepend(backwards, text);
    }
    g_assert_cmpstr(forwards->str, ==, values);
    g_assert_cmpstr(backwards->str, ==, values);
}

static void items_keep_their_order(void)
{
    struct item a = { 1 }, b = { 2 }, c = { 3 }, d = { 4 };
    struct list head;
    list_init(&head);
    g_assert_true(list_empty(&head));
    expect(&head, "");
    list_append(&head, &b.link);
    list_append(&head, &d.link);
    list_prepend(&head, &a.link);
    list_insert_before(&d.link, &c.link);
    g_assert_false(list_empty(&head));
    expect(&head, "1 2 3 4");
}

static void removing_twice_is_harmless(void)
{
    struct item a = { 1 }, b = { 2 };
    struct list head;
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_remove(&a.link);
    list_remove(&a.link);
    expect(&head, "2");
    g_assert_true(list_empty(&a.link));
    list_append(&head, &a.link);
    expect(&head, "2 1");
}

static void taking_ends_with_null(void)
{
    struct item a = { 1 }, b = { 2 };
    struct list head;
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    g_assert_true(list_take(&head) == &a.link);
    g_assert_true(list_take(&head) == &b.link);
    g_assert_null(list_take(&head));
}

static void splicing_empties_the_source(void)
{
    struct item a = { 1 }, b = { 2 }, c = { 3 };
    struct list to, from;
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from);
    expect(&to, "");
    list_append(&from, &b.link);
    list_append(&from, &c.link);
    list_append(&to, &a.link);
    list_splice(&to, &from);
    expect(&to, "1 2 3");
    expect(&from, "");
    list_splice(&from, &to);
    expect(&from, "1 2 3");
    expect(&to, "");
}

static void the_current_item_may_be_removed_while_walking(void)
{
    struct item items[6];
    struct list head;
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].value = i;
        list_append(&head, &items[i].link);
    }
    list_for_each_safe(pos, &head)
    {
        if (list_entry(pos, struct item, link)->value % 2)
            list_remove(pos);
    }
    expect(&head, "0 2 4");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/list/items-keep-their-order", items_keep_their_order);
    g_test_add_func("/base/list/removing-twice-is-harmless", removing_twice_is_harmless);
    g_test_add_func("/base/list/taking-ends-with-null", taking_ends_with_null);
    g_test_add_func("/base/list/splicing-empties-the-source", splicing_empties_the_source);
    g_test_add_func("/base/list/the-current-item-may-be-removed-while-walking",
                    the_current_item_may_be_removed_while_walking);
    return g_test_run();
}
