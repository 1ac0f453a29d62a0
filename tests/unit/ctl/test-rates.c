/* SPDX-License-Identifier: BSD-3-Clause */
/* From two looks to rates; and answers of any form. */
#include <glib.h>

#include "ctl/show.h"
#include "ctl/top_rates.h"

static JsonNode *json(const char *text)
{
    JsonNode *node = json_from_string(text, NULL);
    g_assert_nonnull(node);
    return node;
}

#define LUN(reads, bytes, ns)                                                                      \
    "{\"target\":\"t\",\"lun\":3,\"reads\":{\"commands\":" #reads ",\"bytes\":" #bytes             \
    ",\"latency-ns\":" #ns "},\"writes\":{\"commands\":5},\"at-handler\":2,\"waiting\":1}"
#define SESSION(id, commands)                                                                      \
    "{\"id\":" #id ",\"initiator\":\"i\",\"target\":\"t\",\"commands\":" #commands                 \
    ",\"executed\":" #commands ",\"latency-ns\":1000,\"outstanding\":4,\"window\":64}"

static struct top_rates *ordered(const char *before, const char *after, enum top_order order)
{
    g_autoptr(JsonNode) one = json(before), two = json(after);
    return top_rates_new(json_node_get_object(one), json_node_get_object(two), order);
}

static struct top_rates *rates(const char *before, const char *after)
{
    return ordered(before, after, TOP_BY_COMMANDS);
}

static void test_differences_over_time(void)
{
    struct top_rates *r = rates("{\"time-ns\":1000000000,\"luns\":[" LUN(
                                    100, 4096, 5000) "],\"sessions\":[" SESSION(1, 10) "]}",
                                "{\"time-ns\":3000000000,\"luns\":[" LUN(
                                    300, 8192, 25000) "],\"sessions\":[" SESSION(1, 30) "]}");
    g_assert_cmpfloat(r->seconds, ==, 2);
    g_assert_cmpuint(r->luns->len, ==, 1);
    const struct top_lun *l = &g_array_index(r->luns, struct top_lun, 0);
    g_assert_cmpfloat(l->reads, ==, 100);
    g_assert_cmpfloat(l->read_bytes, ==, 2048);
    g_assert_cmpfloat(l->read_ns, ==, 100);
    g_assert_cmpfloat(l->writes, ==, 0);
    g_assert_cmpfloat(l->write_ns, ==, 0);
    g_assert_cmpuint(l->queue, ==, 3);
    const struct top_session *s = &g_array_index(r->sessions, struct top_session, 0);
    g_assert_cmpfloat(s->commands, ==, 10);
    g_assert_cmpuint(s->outstanding, ==, 4);
    top_rates_free(r);
}

static void test_counters_that_begin_anew_count_in_full(void)
{
    struct top_rates *r = rates(
        "{\"time-ns\":1000000000,\"luns\":[" LUN(100, 4096,
                                                 5000) "],\"sessions\":[" SESSION(1, 10) "]}",
        "{\"time-ns\":2000000000,\"luns\":[" LUN(7, 512, 70) "],\"sessions\":[" SESSION(2, 5) "]}");
    g_assert_cmpfloat(g_array_index(r->luns, struct top_lun, 0).reads, ==, 7);
    g_assert_cmpfloat(g_array_index(r->luns, struct top_lun, 0).read_ns, ==, 10);
    g_assert_cmpfloat(g_array_index(r->sessions, struct top_session, 0).commands, ==, 5);
    top_rates_free(r);
}

static void test_the_busiest_come_first(void)
{
    struct top_rates *r = rates("{\"time-ns\":1,\"sessions\":[]}",
                                "{\"time-ns\":1000000001,\"sessions\":[" SESSION(1, 10) "," SESSION(
                                    2, 30) "," SESSION(3, 20) "]}");
    g_assert_cmpuint(g_array_index(r->sessions, struct top_session, 0).id, ==, 2);
    g_assert_cmpuint(g_array_index(r->sessions, struct top_session, 1).id, ==, 3);
    g_assert_cmpuint(g_array_index(r->sessions, struct top_session, 2).id, ==, 1);
    top_rates_free(r);
}

#define MORE(id, commands, executed, ns, bytes, outstanding)                                       \
    "{\"id\":" #id ",\"initiator\":\"i\",\"target\":\"t\",\"commands\":" #commands                 \
    ",\"executed\":" #executed ",\"latency-ns\":" #ns ",\"read-bytes\":" #bytes                    \
    ",\"outstanding\":" #outstanding "}"
#define WHOLE(id, commands, ns, bytes, queue)                                                      \
    "{\"target\":\"t\",\"lun\":" #id ",\"reads\":{\"commands\":" #commands ",\"bytes\":" #bytes    \
    ",\"latency-ns\":" #ns "},\"at-handler\":" #queue ",\"held\":true}"

static void test_what_is_largest_by_any_column_comes_first(void)
{
    static const struct {
        enum top_order order;
        guint64 first;
    } cases[] = {
        { TOP_BY_COMMANDS, 1 }, { TOP_BY_BYTES, 2 }, { TOP_BY_LATENCY, 3 }, { TOP_BY_QUEUE, 4 }
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct top_rates *r = ordered(
            "{\"time-ns\":1}",
            "{\"time-ns\":1000000001,\"sessions\":[" MORE(4, 1, 1, 1, 1, 9) "," MORE(3, 1, 1, 90, 1, 1) "," MORE(
                2, 1, 1, 1,
                9,
                1) "," MORE(1, 9, 9, 9, 1,
                            1) "],\"luns\":[" WHOLE(4, 1, 1, 1,
                                                    9) "," WHOLE(3, 1, 90, 1,
                                                                 1) "," WHOLE(2, 1, 1, 9,
                                                                              1) "," WHOLE(1, 9, 9,
                                                                                           1,
                                                                                           1) "]}",
            cases[i].order);
        g_assert_cmpuint(g_array_index(r->sessions, struct top_session, 0).id, ==, cases[i].first);
        g_assert_cmpuint(g_array_index(r->luns, struct top_lun, 0).lun, ==, cases[i].first);
        g_assert_true(g_array_index(r->luns, struct top_lun, 0).held);
        top_rates_free(r);
    }
}

static void test_looks_that_do_not_fit_together_give_nothing(void)
{
    struct top_rates *r = rates("{\"time-ns\":5,\"luns\":[" LUN(1, 1, 1) "]}",
                                "{\"time-ns\":5,\"luns\":[" LUN(2, 1, 1) "]}");
    g_assert_cmpfloat(r->seconds, ==, 0);
    g_assert_cmpuint(r->luns->len, ==, 0);
    top_rates_free(r);
}

/* Whatever listens on the socket: its answers are shown or left out, never a crash. */
static void test_answers_of_another_form_are_survived(void)
{
    static const char *const odd[] = {
        "[]",
        "{}",
        "[1,null,[],\"x\"]",
        "{\"keeper\":5,\"reactors\":{},\"logins\":[]}",
        "[{\"name\":{},\"portals\":\"x\",\"initiators\":[1,{}]}]",
        "{\"reactors\":[7,{\"number\":\"x\"}]}",
        "[{\"connections\":[5,{\"address\":[]}],\"id\":-4}]",
        "{\"time-ns\":\"x\",\"luns\":[5],\"sessions\":7}",
        "[{\"reads\":[],\"bytes\":1.5,\"read-only\":\"yes\"}]",
        "null",
        "5",
    };
    static void (*const show[])(JsonNode *, GString *) = {
        show_status,  show_targets, show_sessions, show_luns,      show_portals,
        show_metrics, show_drop,    show_resize,   show_log_level,
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(JsonNode) node = json(odd[i]);
        for (unsigned j = 0; j < G_N_ELEMENTS(show); j++) {
            g_autoptr(GString) out = g_string_new(NULL);
            g_test_message("%s %u", odd[i], j);
            show[j](node, out);
        }
        if (JSON_NODE_HOLDS_OBJECT(node))
            top_rates_free(top_rates_new(json_node_get_object(node), json_node_get_object(node),
                                         TOP_BY_COMMANDS));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ctl/rates/differences-over-time", test_differences_over_time);
    g_test_add_func("/ctl/rates/counters-that-begin-anew-count-in-full",
                    test_counters_that_begin_anew_count_in_full);
    g_test_add_func("/ctl/rates/the-busiest-come-first", test_the_busiest_come_first);
    g_test_add_func("/ctl/rates/any-order", test_what_is_largest_by_any_column_comes_first);
    g_test_add_func("/ctl/rates/looks-that-do-not-fit-together-give-nothing",
                    test_looks_that_do_not_fit_together_give_nothing);
    g_test_add_func("/ctl/show/answers-of-another-form-are-survived",
                    test_answers_of_another_form_are_survived);
    return g_test_run();
}
