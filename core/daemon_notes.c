/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notes to the control thread from any other: a locked list and an eventfd in the GLib loop. For
 * what is rare (connections that end, LUNs that change); a data reactor writes none per command.
 */
#include <errno.h>
#include <glib-unix.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon_private.h"

static void wake(struct daemon *d)
{
    uint64_t one = 1;
    if (write(d->notes_fd, &one, sizeof(one)) < 0)
        return; /* full: it will wake */
}

void daemon_note(struct daemon *d, struct daemon_note *note)
{
    pthread_mutex_lock(&d->notes_lock);
    bool first = list_empty(&d->notes);
    list_append(&d->notes, &note->link);
    pthread_mutex_unlock(&d->notes_lock);
    if (first)
        wake(d);
}

/*
 * One by one: a note that waits for work (daemon_aside.c) lets those behind it run, and those that come then. Its loop
 * has to wake for them: who adds one to others does not see to that.
 */
static struct daemon_note *take(struct daemon *d)
{
    pthread_mutex_lock(&d->notes_lock);
    struct list *n = list_take(&d->notes);
    bool more = !list_empty(&d->notes);
    pthread_mutex_unlock(&d->notes_lock);
    if (more)
        wake(d);
    return n ? list_entry(n, struct daemon_note, link) : NULL;
}

void daemon_notes_run(struct daemon *d)
{
    struct daemon_note *note;
    while ((note = take(d)))
        note->run(d, note);
}

static gboolean notes_event(gint fd, GIOCondition condition, gpointer data)
{
    uint64_t count;
    if (read(fd, &count, sizeof(count)) > 0)
        daemon_notes_run(data);
    return G_SOURCE_CONTINUE;
}

int daemon_notes_init(struct daemon *d)
{
    list_init(&d->notes);
    pthread_mutex_init(&d->notes_lock, NULL);
    d->notes_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->notes_fd < 0)
        return -errno;
    GSource *source = g_unix_fd_source_new(d->notes_fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(notes_event), d, NULL);
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, NULL);
    g_source_unref(source);
    return 0;
}

void daemon_notes_deinit(struct daemon *d)
{
    close(d->notes_fd);
    pthread_mutex_destroy(&d->notes_lock);
}
