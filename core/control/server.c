/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The listening socket and the turn. What clients want is done one thing at a time, in order, at a
 * priority below the rest of the control thread, and never takes more than half of a processor:
 * after some work comes a pause of the same length.
 */
#include "control/http.h"
#include "control/server.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define ACCEPTS_A_TURN  16
#define ACCEPT_PAUSE_MS 100
#define DEBT_NS         (5 * NS_PER_MS) /* work without a pause */
#define SWEEP_MS        1000
#define OUT_PATIENCE_MS                                                                            \
    1000 /* with a client that takes nothing, while there is no room for others */
#define OUT_AGAIN_MS 20

/* ---- turns ---- */

static gboolean turn_run(gpointer data);

void turn_init(struct turn *turn, void (*run)(struct turn *turn))
{
    list_init(&turn->link);
    turn->run = run;
}

static void turn_schedule(struct control *control, unsigned delay_ms)
{
    if (control->turn_source || control->stopping || list_empty(&control->ready))
        return;
    control->turn_source =
        delay_ms ? g_timeout_add_full(G_PRIORITY_LOW, delay_ms, turn_run, control, NULL)
                 : g_idle_add_full(G_PRIORITY_LOW, turn_run, control, NULL);
}

void turn_queue(struct control *control, struct turn *turn)
{
    if (list_empty(&turn->link))
        list_append(&control->ready, &turn->link);
    turn_schedule(control, 0);
}

void turn_cancel(struct turn *turn)
{
    list_remove(&turn->link);
}

/* Answers that nobody takes must not keep others from theirs: the one that waits longest goes. */
static bool out_has_room(struct control *control, uint64_t now_ns)
{
    while (control->out_bytes > CONTROL_OUT_MAX) {
        struct client *slowest = NULL;
        uint64_t longest = OUT_PATIENCE_MS * NS_PER_MS;
        list_for_each(pos, &control->clients)
        {
            uint64_t waits = client_waits_ns(client_of_link(pos), now_ns);
            if (waits > longest) {
                longest = waits;
                slowest = client_of_link(pos);
            }
        }
        if (!slowest)
            return false;
        client_close(slowest);
    }
    return true;
}

static gboolean turn_run(gpointer data)
{
    struct control *control = data;
    uint64_t before = clock_now_ns();
    uint64_t rest = before - control->turn_ended_ns;
    control->debt_ns -= MIN(control->debt_ns, rest);
    control->turn_source = 0;
    if (!out_has_room(control, before)) {
        turn_schedule(control, OUT_AGAIN_MS);
        return G_SOURCE_REMOVE;
    }
    struct list *n = list_take(&control->ready);
    if (n) {
        struct turn *turn = list_entry(n, struct turn, link);
        turn->run(turn);
    }
    control->turn_ended_ns = clock_now_ns();
    control->debt_ns += control->turn_ended_ns - before;
    turn_schedule(control,
                  control->debt_ns > DEBT_NS ? (unsigned)(control->debt_ns / NS_PER_MS) : 0);
    return G_SOURCE_REMOVE;
}

/* ---- notes ---- */

void control_post(struct control *control, struct control_note *note)
{
    static const uint64_t one = 1;
    note->next = atomic_load_explicit(&control->notes, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&control->notes, &note->next, note,
                                                  memory_order_release, memory_order_relaxed))
        ;
    if (write(control->notes_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: then it is readable all the more */
    }
}

static gboolean notes_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct control *control = data;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("control", "cannot read its own eventfd error=\"%s\"", g_strerror(errno));
    struct control_note *newest =
        atomic_exchange_explicit(&control->notes, NULL, memory_order_acquire);
    struct control_note *oldest = NULL;
    while (newest) {
        struct control_note *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct control_note *note = oldest;
        oldest = note->next;
        note->run(note);
    }
    return G_SOURCE_CONTINUE;
}

/* ---- the listening socket ---- */

static void watch_accept(struct control *control);

static gboolean accept_again(gpointer data)
{
    struct control *control = data;
    control->accept_watch = 0;
    watch_accept(control);
    return G_SOURCE_REMOVE;
}

/* Makes room: the idle client that was heard longest ago goes. */
static bool make_room(struct control *control)
{
    if (control->client_count < CONTROL_CLIENTS_MAX)
        return true;
    list_for_each(pos, &control->clients)
    {
        struct client *client = client_of_link(pos);
        if (client_is_idle(client)) {
            client_close(client);
            return true;
        }
    }
    return false;
}

static gboolean accept_ready(gint listener, GIOCondition condition, gpointer data)
{
    struct control *control = data;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return G_SOURCE_CONTINUE;
        if (fd < 0) {
            log_warning("control", "cannot accept error=\"%s\"", g_strerror(errno));
            control->accept_watch = g_timeout_add(ACCEPT_PAUSE_MS, accept_again, control);
            return G_SOURCE_REMOVE;
        }
        if (!make_room(control) || !client_new(control, fd)) {
            control->count.refused_clients++;
            close(fd);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void watch_accept(struct control *control)
{
    GSource *source = g_unix_fd_source_new(control->fd, G_IO_IN);
    g_source_set_priority(source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(source, G_SOURCE_FUNC(accept_ready), control, NULL);
    control->accept_watch = g_source_attach(source, NULL);
    g_source_unref(source);
}

static gboolean sweep(gpointer data)
{
    struct control *control = data;
    uint64_t now = clock_now_ns();
    list_for_each_safe(pos, &control->clients) client_check(client_of_link(pos), now);
    http_sweep(control->http, now);
    return G_SOURCE_CONTINUE;
}

/* ---- life ---- */

int control_create(const struct control_services *services, int fd, struct control **ret_control)
{
    struct control *control = g_new0(struct control, 1);
    control->services = *services;
    control->fd = fd;
    control->started_ns = clock_now_ns();
    control->started = (double)g_get_real_time() / 1e6;
    list_init(&control->clients);
    list_init(&control->ready);
    list_init(&control->asks);
    snapshots_init(control);
    list_init(&control->changes);
    control->notes_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->notes_fd < 0) {
        int r = -errno;
        g_free(control);
        return r;
    }
    control->notes_watch = g_unix_fd_add(control->notes_fd, G_IO_IN, notes_ready, control);
    control->sweep_timer = g_timeout_add(SWEEP_MS, sweep, control);
    if (fd >= 0)
        watch_accept(control);
    control->http = http_new(control);
    control_listen(control);
    *ret_control = control;
    return 0;
}

static void remove_source(guint *source)
{
    if (*source)
        g_source_remove(*source);
    *source = 0;
}

void control_listen(struct control *control)
{
    if (control && control->http)
        http_listen(control->http,
                    &control->services.config(control->services.user)->daemon.metrics_listen);
}

void control_stop(struct control *control)
{
    if (!control || control->stopping)
        return;
    control->stopping = true;
    list_for_each_safe(pos, &control->clients) client_close(client_of_link(pos));
    control->http = http_free(control->http);
    snapshots_stop(control);
    remove_source(&control->accept_watch);
    remove_source(&control->sweep_timer);
    remove_source(&control->notes_watch);
    remove_source(&control->turn_source);
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;
    notes_ready(control->notes_fd, G_IO_IN, control); /* acts that have ended meanwhile */
    ask_deinit(control);
    snapshots_deinit(control);
    close(control->notes_fd);
    g_free(control);
    return NULL;
}

void control_keeper_answer(struct control *control, const struct control_keeper *keeper)
{
    if (control)
        snapshot_keeper(control, keeper);
}
