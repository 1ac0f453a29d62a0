/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's life on its control thread: configuration, memory, reactors, GO, LUNs, READY; then
 * the loop that serves the keeper's messages; then the orderly end.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/file.h"
#include "daemon_control.h"
#include "daemon_private.h"
#include "iscsi/uses.h"
#include "net/position.h"
#include "privileges.h"
#include "scsi/range.h"
#include "undertaker.h"

#define RETIRE_WAIT_NS (5 * NS_PER_S)
#define WATCH_S       5               /* between looks at I/Os that are not answered */
#define STOP_RESERVE_MS 1000u         /* of the keeper's deadline, for flush and close */

/* ---- the keeper ---- */

static void watch_link(struct daemon *d);

static void tell(struct daemon *d, const struct link_message *m)
{
    int r = link_send(&d->link, m);
    if (r == 0 && d->link_watch && (link_poll_events(&d->link) & POLLOUT)) {
        g_source_remove(d->link_watch); /* what is queued must not wait for the keeper's next word */
        watch_link(d);
    }
    if (r < 0 && r != -EPIPE)
        log_error("daemon", "message to the keeper lost type=%d error=\"%s\"", m->type, g_strerror(-r));
}

void daemon_tell(struct daemon *d, const struct link_message *m)
{
    tell(d, m);
}

static void send_type(struct daemon *d, enum link_type type)
{
    struct link_message m = {.type = type, .fd = -1};
    tell(d, &m);
}

static void fail(struct daemon *d, const char *text)
{
    struct link_message m = {.type = LINK_FAILED, .fd = -1};
    g_strlcpy(m.failed.text, text, sizeof(m.failed.text));
    tell(d, &m);
    d->exit_code = 1;
}

struct closed_note {
    struct daemon_note note;
    uint32_t slot;
};

static void closed_run(struct daemon *d, struct daemon_note *n)
{
    struct closed_note *note = container_of(n, struct closed_note, note);
    struct link_message m = {.type = LINK_CLOSED, .fd = -1, .closed.slot = note->slot};
    tell(d, &m);
    g_free(note);
}

/* Login reactor. */
static void connection_closed(void *user, uint32_t slot)
{
    struct closed_note *note = g_new0(struct closed_note, 1);
    note->note.run = closed_run;
    note->slot = slot;
    daemon_note(user, &note->note);
}

static void stopped_run(struct daemon *d, struct daemon_note *note)
{
    g_free(note);
    g_main_loop_quit(d->loop);
}

/* Login reactor. */
static void all_stopped(void *user)
{
    struct daemon_note *note = g_new0(struct daemon_note, 1);
    note->run = stopped_run;
    daemon_note(user, note);
}

static int portal_index(const struct daemon *d, const char *name)
{
    for (unsigned i = 0; i < d->config->portal_count; i++)
        if (!strcmp(d->config->portals[i].name, name))
            return (int)i;
    return -1;
}

/* Then the keeper need not wait until the rings of the dead one are gone. */
static void say_if_nothing_lasts(struct daemon *d)
{
    if (!d->go && d->prepared && daemon_engine_nothing_lasts(d) &&
        write(d->args->tombstone_fd, LINK_NOTHING_LASTS, 1) < 0)
        log_debug("daemon", "the keeper waits error=\"%s\"", g_strerror(errno));
}

static void import(struct daemon *d, int fd)
{
    const char *why = d->go ? "not now" : daemon_image_import(d, fd);
    if (!why) {
        send_type(d, LINK_IMPORTED);
        return;
    }
    g_autofree char *text = g_strdup_printf("the state of the old worker cannot be taken over: %s", why);
    log_error("handover", "%s", text);
    fail(d, text);
}

void daemon_handle(struct daemon *d, struct link_message *m)
{
    switch (m->type) {
    case LINK_GO:
        d->go = true;
        d->patches = m->go.can & LINK_CAN_PATCH;
        d->keeps_removed = m->go.can & LINK_CAN_REMOVE;
        d->holds_memory = m->go.can & LINK_CAN_HOLD;
        break;
    case LINK_CONNECTION:
        if (m->connection.held) {
            struct thaw_socket held = {.fd = m->fd,
                                       .slot = m->connection.slot,
                                       .portal = (unsigned)portal_index(d, m->connection.portal),
                                       .peer = m->connection.peer};
            g_array_append_val(d->held, held);
            return;
        }
        acceptor_accept(d->acceptor, m->fd, m->connection.slot,
                        (unsigned)portal_index(d, m->connection.portal), &m->connection.peer);
        return; /* the descriptor is the acceptor's */
    case LINK_STOP: {
        uint32_t ms = m->stop.deadline_ms;
        log_info("daemon", "stopping deadline-ms=%u", ms);
        d->stopping = true;
        atomic_store(&d->scsi.stopping, true);
        ms = ms > 2 * STOP_RESERVE_MS ? ms - STOP_RESERVE_MS : ms / 2;
        if (d->acceptor)
            acceptor_stop(d->acceptor, ms * NS_PER_MS);
        else
            d->exit_code = -1; /* not yet up: leave at once, with 0 */
        break;
    }
    case LINK_AMENDED:
        daemon_resize_amended(d, m->amended.error);
        break;
    case LINK_STATUS:
        daemon_control_status(d, &m->status);
        break;
    case LINK_PING:
        daemon_pulse(d, m->ping.number);
        break;
    case LINK_FENCE:
        daemon_control_fence(d, &m->fence);
        break;
    case LINK_UPGRADE:
        daemon_control_upgrade(d, &m->upgrade);
        break;
    case LINK_AFTER:
        d->after_death = true;
        d->crashed = m->after.crashed;
        d->failures = m->after.failures;
        d->unsettled = m->after.unsettled;
        say_if_nothing_lasts(d);
        break;
    case LINK_FREEZE:
        daemon_freeze(d, m->freeze.deadline_ms, /* image= */ false);
        break;
    case LINK_EXPORT:
        daemon_freeze(d, m->freeze.deadline_ms, /* image= */ true);
        break;
    case LINK_GO_ON:
        daemon_freeze_abandon(d);
        break;
    case LINK_IMPORT:
        import(d, m->fd);
        break;
    case LINK_RELOAD:
        daemon_reload(d, m);
        break;
    case LINK_COMMIT:
        daemon_reload_commit(d, &m->verdict);
        break;
    case LINK_RELOAD_FAILED:
        daemon_reload_failed(d, m->failed.text, m->failed.whole);
        break;
    default:
        break;
    }
    if (m->fd >= 0)
        close(m->fd);
}

/* Handles what is there; false: the keeper is gone. */
static bool serve_link(struct daemon *d)
{
    struct link_message m;
    int r;
    while ((r = link_receive(&d->link, &m)) > 0)
        daemon_handle(d, &m);
    if (r < 0) {
        log_error("daemon", "the keeper is gone error=\"%s\"", g_strerror(-r));
        return false;
    }
    return link_flush(&d->link) != -EPIPE;
}

static gboolean link_event(gint fd, GIOCondition condition, gpointer data);

static void watch_link(struct daemon *d)
{
    GIOCondition condition = G_IO_IN | G_IO_HUP | G_IO_ERR;
    if (link_poll_events(&d->link) & POLLOUT)
        condition |= G_IO_OUT;
    d->link_watch = g_unix_fd_add(d->link.fd, condition, link_event, d);
}

static gboolean link_event(gint fd, GIOCondition condition, gpointer data)
{
    struct daemon *d = data;
    d->link_watch = 0;
    if (!serve_link(d)) {
        d->exit_code = 1;
        g_main_loop_quit(d->loop);
        return G_SOURCE_REMOVE;
    }
    if (!d->link_watch)
        watch_link(d);
    return G_SOURCE_REMOVE;
}

void daemon_watch_link(struct daemon *d)
{
    if (!d->link_watch)
        watch_link(d);
}

static gboolean inbox_event(gpointer data)
{
    struct daemon *d = data;
    if (link_has_inbox(&d->link))
        serve_link(d);
    return G_SOURCE_REMOVE;
}

void daemon_serve_inbox(struct daemon *d)
{
    if (link_has_inbox(&d->link))
        g_idle_add(inbox_event, d);
}

static gboolean watch_tick(gpointer data)
{
    struct daemon *d = data;
    daemon_targets_watch(d);
    daemon_space_look(d, /* all= */ false);
    link_flush(&d->link);
    return G_SOURCE_CONTINUE;
}

/* ---- start ---- */

static int read_config(struct daemon *d)
{
    struct config_problems *problems = config_problems_new();
    int r = lseek(d->args->config_fd, 0, SEEK_SET) < 0
                ? -errno
                : config_file_read_fd(d->args->config_fd, &d->text, &d->text_length);
    if (r == 0)
        r = config_parse(d->text, d->text_length, d->args->config_file, &d->config, problems);
    if (r < 0) /* warnings the keeper has told */
        config_problems_print(problems, stderr);
    config_problems_free(problems);
    return r;
}

static bool wait_for_go(struct daemon *d)
{
    while (!d->go && !d->exit_code) {
        struct pollfd p = {.fd = d->link.fd, .events = link_poll_events(&d->link)};
        if (!link_has_inbox(&d->link) && poll(&p, 1, -1) < 0 && errno != EINTR)
            return false;
        if (!serve_link(d))
            return false;
    }
    return d->go && !d->exit_code; /* STOP may have come with it */
}

static int memfd_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed)
{
    struct daemon *d = user;
    return daemon_memfd_get(d, name, bytes, ret_fd, ret_existed, NULL);
}

static int store_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed,
                     uint32_t *ret_number)
{
    struct daemon *d = user;
    return daemon_memfd_get(d, name, bytes, ret_fd, ret_existed, ret_number);
}

struct change_note {
    struct daemon_note note;
    struct backend *backend;
    struct backend_info info;
};

static void changed_run(struct daemon *d, struct daemon_note *n)
{
    struct change_note *note = container_of(n, struct change_note, note);
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            struct daemon_lun *l = d->targets[i]->luns[j];
            if (l->backend != note->backend || !l->unit)
                continue;
            storage_set_info(note->backend, &note->info);
            scsi_unit_changed(l->unit, SCSI_UNIT_CAPACITY);
            log_notice("daemon", "LUN changed target=%s lun=%u bytes=%llu", d->targets[i]->config->name,
                       l->config->number, (unsigned long long)note->info.bytes);
        }
    g_free(note);
}

/* On a data reactor. */
static bool sends_store(void *user, uint32_t arena)
{
    struct daemon *d = user;
    return engine_sends_store(&d->engines[reactor_current()->index], arena);
}

/* Any thread. */
static void storage_changed(void *user, struct backend *backend, const struct backend_info *info)
{
    struct change_note *note = g_new0(struct change_note, 1);
    note->note.run = changed_run;
    note->backend = backend;
    note->info = *info;
    daemon_note(user, &note->note);
}

/* Before GO: what there are targets for comes with start_logins(). */
static int create_logins(struct daemon *d)
{
    uint32_t n = d->config->daemon.max_connections;
    struct engine *login = &d->engines[d->data_count];
    struct registry_options registry = {
        .login = login,
        .data = d->engine_list,
        .data_count = d->data_count,
        .sessions = n,
        .connections = n,
    };
    int r = registry_create(&registry, &d->registry);
    if (r < 0)
        return r;
    struct acceptor_options acceptor = {
        .login = login,
        .registry = d->registry,
        .sessions = n,
        .connections = n + config_spare_connections(&d->config->daemon),
        .limits = { .connections = n,
                    .per_address = d->config->daemon.max_connections_per_address,
                    .logins = d->config->daemon.max_logins },
        .login_concurrency = d->config->daemon.login_concurrency,
        .login_timeout_ns = d->config->daemon.login_timeout_ns,
        .user = d,
        .closed = connection_closed,
        .stopped = all_stopped,
    };
    return acceptor_create(&acceptor, &d->prepared_acceptor);
}

static void start_logins(struct daemon *d)
{
    acceptor_set_catalog(d->prepared_acceptor, &d->snapshot->catalog);
    d->acceptor = g_steal_pointer(&d->prepared_acceptor);
}

/* A connection that no worker has read from or written to is as good as new. */
static bool is_untouched(int fd)
{
    struct socket_position at;
    return socket_position(fd, &at) == 0 && at.open && !at.rx && !at.tx;
}

/* What earlier workers left: sessions go on, new connections are served, the rest ends in order. */
static void take_over(struct daemon *d)
{
    struct thaw_result result = {0};
    uint64_t begin = clock_now_ns();
    if (d->resume) {
        daemon_removed_find(d);
        thaw_all(d->acceptor, d->registry, &d->snapshot->catalog, (struct thaw_socket *)d->held->data,
                 d->held->len, d->crashed, &result);
    }
    unsigned closed = 0;
    for (guint i = 0; i < d->held->len; i++) {
        struct thaw_socket *s = &g_array_index(d->held, struct thaw_socket, i);
        if (s->fd < 0)
            continue;
        if (is_untouched(s->fd)) {
            acceptor_accept(d->acceptor, s->fd, s->slot, s->portal, &s->peer);
            continue;
        }
        struct link_message m = {.type = LINK_CLOSED, .fd = -1, .closed.slot = s->slot};
        close(s->fd); /* the keeper's duplicate is the one that is shut down */
        tell(d, &m);
        closed++;
    }
    d->taken_over = (struct control_take_over){
        .sessions = result.sessions,
        .connections = result.connections,
        .tasks = result.tasks,
        .dropped_sessions = result.doubtful,
        .quarantined_sessions = result.quarantined,
        .closed_connections = closed,
        .took_ns = clock_now_ns() - begin,
    };
    if (d->held->len)
        log_notice("handover", "taken over sessions=%u connections=%u tasks=%u not-resumed=%u closed=%u took=%.3fms",
                   result.sessions, result.connections, result.tasks, result.doubtful, closed,
                   (double)(clock_now_ns() - begin) / 1e6);
}

/* No more in reserve. */
static void needed(struct daemon *d)
{
    prctl(PR_SET_NAME, WORKER_NAME);
    log_set_level(d->config->daemon.log_level);
}

/* Everything up to READY; NULL, or what was in the way (details are in the log). */
static const char *start(struct daemon *d)
{
    if (read_config(d) < 0)
        return "the configuration is not usable";
    if (!d->args->spare)
        log_set_level(d->config->daemon.log_level);
    /* LUNs and secrets are opened as `daemon.user`: its rights are the ones that count. */
    if (privileges_worker(d->config->daemon.user, d->config->daemon.sandbox) < 0)
        return "cannot give up privileges";
    /* A successor looks before it takes over; a first start meets them with all else that is wrong, and where nobody
       else can go on, disks are absent. */
    char *bad = daemon_plugins_load(d->config);
    if (bad && d->args->generation > 1 && !d->args->again) {
        log_error("daemon", "%s", bad);
        return bad; /* the process ends with it */
    }
    g_free(bad);
    if (access(d->config->daemon.state_directory, W_OK | X_OK) < 0 && errno != ENOENT)
        log_warning("daemon", "what must survive a reboot cannot be kept state-directory=%s error=\"%s\"",
                    d->config->daemon.state_directory, g_strerror(errno));
    if (daemon_engine_create(d) < 0)
        return "no reactors";
    d->storage = (struct storage_services){
        .user = d,
        .pool = d->pool,
        .reactor_count = d->data_count,
        .reactors = d->reactors,
        .memfd_get = store_get,
        .changed = storage_changed,
    };
    daemon_kept_init(d);
    d->scsi = (struct scsi_services){
        .reactors = d->reactors,
        .pool = d->pool,
        .state_directory = d->state_directory = g_strdup(d->config->daemon.state_directory),
        .user = d,
        .memfd_get = memfd_get,
        .kept_changed = daemon_kept_changed,
        .sends_store = sends_store,
    };
    int r = scsi_keep_area_open(&d->scsi, d->data_count, &d->scsi.area);
    if (r < 0)
        log_error("daemon", "what units keep will not outlive the worker error=\"%s\"", g_strerror(-r));
    d->auth_services = (struct authenticator_services){
        .login_reactor = d->reactors[d->data_count],
        .resume = acceptor_auth_resume,
    };
    if (create_logins(d) < 0)
        return "out of memory";
    if (daemon_engine_prepare(d) < 0)
        return "reactors do not start";
    struct link_message prepared = {
        .type = LINK_PREPARED, .fd = -1, .prepared.layout = daemon_engine_layout(d)};
    tell(d, &prepared);
    d->prepared = true;
    if (!wait_for_go(d))
        return "";
    close(d->args->tombstone_fd); /* the rings hold it now */
    if (d->args->spare)
        needed(d);
    daemon_engine_begin(d);
    scsi_keep_area_look_again(d->scsi.area);
    d->again = d->resume || d->args->generation > 1;
    daemon_crash_blame(d);
    daemon_crash_watch(d);
    if (daemon_targets_open(d) < 0)
        return "a target cannot be served";
    d->again = false;
    start_logins(d);
    take_over(d);
    daemon_image_begin(d);
    daemon_engine_go(d);
    daemon_removed_watch(d);
    return NULL;
}

/* ---- all of it ---- */

static void ignore_signals(void)
{
    /* The keeper is the one that signals are for; a terminal sends them to both. */
    static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ};
    for (unsigned i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void release(struct daemon *d)
{
    daemon_control_free(d);
    daemon_targets_free(d);
    d->acceptor = acceptor_free(d->acceptor);
    d->registry = registry_free(d->registry);
    daemon_engine_free(d);
    daemon_freeze_free(d);
    daemon_notes_run(d);                              /* the snapshot is not used any more, */
    d->scsi.area = scsi_keep_area_free(d->scsi.area); /* which held the last units */
    g_array_free(d->held, TRUE);
    daemon_kept_free(d);
    daemon_removed_free(d);
    daemon_notes_deinit(d);
    g_free(d->state_directory);
    g_free(d->text);
    g_free(d->pulse);
    g_free(d->space);
    g_main_loop_unref(d->loop);
    link_deinit(&d->link);
}

int daemon_run(const struct daemon_args *args)
{
    struct daemon d = {.args = args, .predecessor = -1};
    log_set_role("worker");
    ignore_signals();
    if (args->spare) /* what there is to say the first worker has said */
        log_set_level(LOG_LEVEL_ERROR);
    fcntl(args->tombstone_fd, F_SETFD, FD_CLOEXEC);
    fcntl(args->config_fd, F_SETFD, FD_CLOEXEC);
    scsi_ranges_prepare();
    link_init(&d.link, args->link_fd);
    d.loop = g_main_loop_new(NULL, FALSE);
    list_init(&d.retiring);
    list_init(&d.removed);
    d.held = g_array_new(FALSE, FALSE, sizeof(struct thaw_socket));
    const char *why = daemon_notes_init(&d) < 0 ? "no eventfd" : start(&d);
    close(args->config_fd);
    if (why) {
        if (*why)
            fail(&d, why);
        _exit(d.exit_code > 0 ? 1 : 0);
    }
    send_type(&d, LINK_READY);
    sched_yield(); /* to its reactors: all of them have the same priority, and initiators wait for those */
    daemon_image_end(&d);
    daemon_control_start(&d);
    watch_link(&d);
    daemon_space_look(&d, /* all= */ true);
    g_timeout_add_seconds(WATCH_S, watch_tick, &d);
    if (link_has_inbox(&d.link))
        serve_link(&d);
    g_main_loop_run(d.loop);
    daemon_control_stop(&d);
    daemon_retire_wait(&d, RETIRE_WAIT_NS);

    /* Sessions and connections are over: flush, close, say so. */
    bool closed = d.exit_code == 0 && daemon_targets_close(&d);
    if (closed)
        send_type(&d, LINK_STOPPED);
    link_flush(&d.link);
    undertaker_dismiss();
    if (!closed || d.asides_left) /* threads that are left behind use what would be freed */
        _exit(d.exit_code);
    daemon_notes_run(&d); /* CLOSED of the last connections */
    daemon_engine_stop(&d);
    release(&d);
    return 0;
}
