/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notes to the control thread: one that waits in a loop of its own (a disk is opened aside, core/daemon_aside.c) is
 * waited for by none of those behind it, whether they were there before or come meanwhile.
 */
#include <glib.h>

#include "daemon_private.h"

#define LIMIT_S 30 /* then it waits for ever */

struct waiting {
    struct daemon_note note;
    GMainLoop *loop;
    bool over, late;
};

struct telling {
    struct daemon_note note;
    struct waiting *waiting;
};

static gboolean too_late(gpointer data)
{
    struct waiting *w = data;
    w->late = true;
    g_main_loop_quit(w->loop);
    return G_SOURCE_REMOVE;
}

static void wait_run(struct daemon *d, struct daemon_note *note)
{
    struct waiting *w = container_of(note, struct waiting, note);
    guint timer = g_timeout_add_seconds(LIMIT_S, too_late, w);
    if (!w->over)
        g_main_loop_run(w->loop);
    if (!w->late)
        g_source_remove(timer);
}

static void tell_run(struct daemon *d, struct daemon_note *note)
{
    struct waiting *w = container_of(note, struct telling, note)->waiting;
    w->over = true;
    g_main_loop_quit(w->loop);
}

static gpointer tell_later(gpointer data)
{
    struct daemon *d = ((gpointer *)data)[0];
    daemon_note(d, ((gpointer *)data)[1]);
    return NULL;
}

/* `meanwhile`: the second note comes from a thread, and may come while the first one waits. */
static void wait_and_tell(bool meanwhile)
{
    struct daemon d = { 0 };
    struct waiting w = { .note.run = wait_run, .loop = g_main_loop_new(NULL, FALSE) };
    struct telling t = { .note.run = tell_run, .waiting = &w };
    gpointer arguments[] = { &d, &t.note };
    g_assert_cmpint(daemon_notes_init(&d), ==, 0);
    daemon_note(&d, &w.note);
    GThread *thread = meanwhile ? g_thread_new("tells", tell_later, arguments) : NULL;
    if (!meanwhile)
        daemon_note(&d, &t.note);
    while (!w.over && !w.late)
        g_main_context_iteration(NULL, TRUE);
    g_assert_false(w.late);
    if (thread)
        g_thread_join(thread);
    g_assert_true(g_source_remove_by_user_data(&d));
    daemon_notes_deinit(&d);
    g_main_loop_unref(w.loop);
}

static void those_behind_one_that_waits_run(void)
{
    wait_and_tell(/* meanwhile= */ false);
}

static void those_that_come_while_one_waits_run(void)
{
    for (unsigned i = 0; i < 100; i++)
        wait_and_tell(/* meanwhile= */ true);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/notes/behind", those_behind_one_that_waits_run);
    g_test_add_func("/daemon/notes/meanwhile", those_that_come_while_one_waits_run);
    return g_test_run();
}
