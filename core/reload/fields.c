/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row for each key of daemon, portal, target, session and LUN: how two values of it are compared
 * and what a change of it asks for. A key without a row would be a change that a reload does not
 * see; a test compares the rows with the tables that read the file.
 */
#include "reload/fields.h"

#include <string.h>

#include "reload/rows.h"

#define AT(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)

static bool same_words(const char *const *a, const char *const *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return !*a && !*b;
}

static bool same_value(const struct plan_row *row, const void *a, const void *b)
{
    const char *x, *y;
    switch (row->form) {
    case ROW_TEXT:
        x = *(const char *const *)a;
        y = *(const char *const *)b;
        return x && y ? strcmp(x, y) == 0 : x == y;
    case ROW_WORDS:
        return same_words(*(const char *const *const *)a, *(const char *const *const *)b);
    case ROW_PLAIN:
    default:
        return memcmp(a, b, row->bytes) == 0;
    }
}

static void found(struct difference *d, const char *prefix, const char *key, enum plan_class class)
{
    g_string_append_printf(d->keys, "%s%s%s", d->any ? ", " : "", prefix, key);
    d->class = MAX(d->class, class);
    d->any = true;
}

static void differ_rows(struct difference *d, const struct plan_row *rows, const char *prefix,
                        const void *a, const void *b)
{
    for (const struct plan_row *row = rows; row->key; row++) {
        if (row->form == ROW_ELSEWHERE ||
            same_value(row, (const char *)a + row->offset, (const char *)b + row->offset))
            continue;
        found(d, prefix, row->key, row->class);
        d->lun_change |= row->lun_change;
    }
}

void difference_init(struct difference *d)
{
    *d = (struct difference){ .keys = g_string_new(NULL), .class = PLAN_LIVE };
}

char *difference_end(struct difference *d)
{
    return g_string_free(d->keys, !d->any);
}

/* ---- daemon ---- */

const struct plan_row plan_daemon_rows[] = {
    { "reactors", ROW_PLAIN, PLAN_HANDOVER, AT(config_daemon, reactors) },
    { "busy-poll", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, busy_poll_ns) },
    { "state-directory", ROW_TEXT, PLAN_RESTART, AT(config_daemon, state_directory) },
    { "control-socket", ROW_TEXT, PLAN_RESTART, AT(config_daemon, control_socket) },
    { "plugin-path", ROW_WORDS, PLAN_LIVE, AT(config_daemon, plugin_path) },
    { "user", ROW_TEXT, PLAN_RESTART, AT(config_daemon, user) },
    { "sandbox", ROW_PLAIN, PLAN_HANDOVER, AT(config_daemon, sandbox) },
    { "spare-worker", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, spare_worker) },
    { "drain", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, drain_ns) },
    { "metrics-listen", ROW_ELSEWHERE, PLAN_LIVE },
    { "metrics-sessions", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, metrics_sessions) },
    { "log-level", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, log_level) },
    { "login-timeout", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, login_timeout_ns) },
    { "max-connections", ROW_PLAIN, PLAN_HANDOVER, AT(config_daemon, max_connections) },
    { "max-connections-per-address", ROW_PLAIN, PLAN_LOGIN,
      AT(config_daemon, max_connections_per_address) },
    { "max-logins", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, max_logins) },
    { "login-concurrency", ROW_PLAIN, PLAN_HANDOVER, AT(config_daemon, login_concurrency) },
    { "listen-backlog", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, listen_backlog) },
    { "socket-receive-buffer", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, socket_receive_buffer) },
    { "socket-send-buffer", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, socket_send_buffer) },
    { "buffer-memory", ROW_PLAIN, PLAN_HANDOVER, AT(config_daemon, buffer_memory_bytes) },
    { "nop-interval", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, nop_interval_ns) },
    { "nop-timeout", ROW_PLAIN, PLAN_LOGIN, AT(config_daemon, nop_timeout_ns) },
    { "watchdog", ROW_PLAIN, PLAN_LIVE, AT(config_daemon, watchdog_ns) },
    { NULL },
};

void differ_daemon(struct difference *d, const struct config_daemon *a,
                   const struct config_daemon *b)
{
    differ_rows(d, plan_daemon_rows, "", a, b);
    if (a->drain_force != b->drain_force)
        found(d, "", "drain", PLAN_LIVE);
    if (a->metrics_listen.length != b->metrics_listen.length ||
        (a->metrics_listen.length && !address_equal(&a->metrics_listen, &b->metrics_listen)))
        found(d, "", "metrics-listen", PLAN_LIVE);
}

/* ---- portal ---- */

const struct plan_row plan_portal_rows[] = {
    { "listen", ROW_ELSEWHERE, PLAN_LIVE },
    { "tag", ROW_PLAIN, PLAN_LOGIN, AT(config_portal, tag) },
    { "access-state", ROW_PLAIN, PLAN_NOTICE, AT(config_portal, access_state) },
    { NULL },
};

static bool same_listen(const struct config_portal *a, const struct config_portal *b)
{
    if (a->listen_count != b->listen_count)
        return false;
    for (unsigned i = 0; i < a->listen_count; i++)
        if (!address_equal(&a->listen[i].address, &b->listen[i].address))
            return false;
    return true;
}

void differ_portal(struct difference *d, const struct config_portal *a,
                   const struct config_portal *b)
{
    if (!same_listen(a, b))
        found(d, "", "listen", PLAN_LIVE);
    differ_rows(d, plan_portal_rows, "", a, b);
}

/* ---- target ---- */

const struct plan_row plan_target_rows[] = {
    { "alias", ROW_TEXT, PLAN_LOGIN, AT(config_target, alias) },
    { "portals", ROW_ELSEWHERE, PLAN_LOGIN },
    { "auth", ROW_ELSEWHERE, PLAN_LOGIN },
    { "initiators", ROW_WORDS, PLAN_LOGIN, AT(config_target, initiators) },
    { "redirect", ROW_ELSEWHERE, PLAN_LOGIN },
    { "session", ROW_ELSEWHERE, PLAN_LOGIN },
    { "luns", ROW_ELSEWHERE, PLAN_LIVE },
    { "views", ROW_ELSEWHERE, PLAN_NOTICE },
    { NULL },
};

const struct plan_row plan_session_rows[] = {
    { "max-connections", ROW_PLAIN, PLAN_LOGIN, AT(config_session, max_connections) },
    { "first-burst-length", ROW_PLAIN, PLAN_LOGIN, AT(config_session, first_burst_length) },
    { "max-burst-length", ROW_PLAIN, PLAN_LOGIN, AT(config_session, max_burst_length) },
    { "max-recv-data-segment-length", ROW_PLAIN, PLAN_LOGIN,
      AT(config_session, max_recv_data_segment_length) },
    { "max-outstanding-r2t", ROW_PLAIN, PLAN_LOGIN, AT(config_session, max_outstanding_r2t) },
    { "initial-r2t", ROW_PLAIN, PLAN_LOGIN, AT(config_session, initial_r2t) },
    { "immediate-data", ROW_PLAIN, PLAN_LOGIN, AT(config_session, immediate_data) },
    { "header-digest", ROW_PLAIN, PLAN_LOGIN, AT(config_session, header_digest) },
    { "data-digest", ROW_PLAIN, PLAN_LOGIN, AT(config_session, data_digest) },
    { "default-time2wait", ROW_PLAIN, PLAN_LOGIN, AT(config_session, default_time2wait) },
    { "time2wait-spread", ROW_PLAIN, PLAN_LOGIN, AT(config_session, time2wait_spread) },
    { "default-time2retain", ROW_PLAIN, PLAN_LOGIN, AT(config_session, default_time2retain) },
    { "command-window", ROW_PLAIN, PLAN_LOGIN, AT(config_session, command_window) },
    { "send-targets-all", ROW_PLAIN, PLAN_LOGIN, AT(config_session, reject_send_targets_all) },
    { "nop-interval", ROW_PLAIN, PLAN_LOGIN, AT(config_session, nop_interval_ns) },
    { "nop-timeout", ROW_PLAIN, PLAN_LOGIN, AT(config_session, nop_timeout_ns) },
    { NULL },
};

static bool same_portals(const struct config_portal *const *a, unsigned a_count,
                         const struct config_portal *const *b, unsigned b_count)
{
    if (a_count != b_count)
        return false;
    for (unsigned i = 0; i < a_count; i++)
        if (strcmp(a[i]->name, b[i]->name) != 0)
            return false;
    return true;
}

static const char *auth_name(const struct config_auth *auth)
{
    return auth ? auth->name : NULL;
}

const struct plan_row plan_redirect_rows[] = {
    { "to", ROW_TEXT, PLAN_LOGIN, AT(config_redirect, to) },
    { "permanent", ROW_PLAIN, PLAN_LOGIN, AT(config_redirect, permanent) },
    { "portals", ROW_ELSEWHERE, PLAN_LOGIN },
    { "initiators", ROW_WORDS, PLAN_LOGIN, AT(config_redirect, initiators) },
    { NULL },
};

static bool same_redirect(const struct config_redirect *a, const struct config_redirect *b)
{
    for (const struct plan_row *row = plan_redirect_rows; row->key; row++)
        if (row->form != ROW_ELSEWHERE &&
            !same_value(row, (const char *)a + row->offset, (const char *)b + row->offset))
            return false;
    return same_portals(a->portals, a->portal_count, b->portals, b->portal_count);
}

static bool same_redirects(const struct config_target *a, const struct config_target *b)
{
    if (a->redirect_count != b->redirect_count)
        return false;
    for (unsigned i = 0; i < a->redirect_count; i++)
        if (!same_redirect(&a->redirects[i], &b->redirects[i]))
            return false;
    return true;
}

static bool same_view(const struct config_view *a, const struct config_view *b)
{
    if (!g_strv_equal((const char *const *)a->initiators, (const char *const *)b->initiators) ||
        a->lun_count != b->lun_count)
        return false;
    for (unsigned i = 0; i < a->lun_count; i++)
        if (a->luns[i].number != b->luns[i].number || a->luns[i].lun != b->luns[i].lun)
            return false;
    return true;
}

static bool same_views(const struct config_target *a, const struct config_target *b)
{
    if (a->view_count != b->view_count)
        return false;
    for (unsigned i = 0; i < a->view_count; i++)
        if (!same_view(&a->views[i], &b->views[i]))
            return false;
    return true;
}

void differ_target(struct difference *d, const struct config_target *a,
                   const struct config_target *b)
{
    differ_rows(d, plan_target_rows, "", a, b);
    if (!same_portals(a->portals, a->portal_count, b->portals, b->portal_count))
        found(d, "", "portals", PLAN_LOGIN);
    if (g_strcmp0(auth_name(a->auth), auth_name(b->auth)) != 0)
        found(d, "", "auth", PLAN_LOGIN);
    if (!same_redirects(a, b))
        found(d, "", "redirect", PLAN_LOGIN);
    if (!same_views(a, b))
        found(d, "", "views", PLAN_NOTICE);
    differ_rows(d, plan_session_rows, "session.", &a->session, &b->session);
}

/* ---- discovery ---- */

const struct plan_row plan_discovery_rows[] = {
    { "auth", ROW_ELSEWHERE, PLAN_LOGIN },
    { "initiators", ROW_WORDS, PLAN_LOGIN, AT(config_discovery, initiators) },
    { NULL },
};

void differ_discovery(struct difference *d, const struct config_discovery *a,
                      const struct config_discovery *b)
{
    differ_rows(d, plan_discovery_rows, "discovery.", a, b);
    if (g_strcmp0(auth_name(a->auth), auth_name(b->auth)) != 0)
        found(d, "discovery.", "auth", PLAN_LOGIN);
}

/* ---- LUN ---- */

const struct plan_row plan_lun_rows[] = {
    { "handler", ROW_TEXT, PLAN_REOPEN, AT(config_lun, handler), PLAN_LUN_REPLACE | PLAN_LUN_MOVE },
    { "options", ROW_ELSEWHERE, PLAN_LIVE },
    { "serial", ROW_TEXT, PLAN_END, AT(config_lun, serial), PLAN_LUN_IDENTITY },
    { "naa", ROW_PLAIN, PLAN_END, AT(config_lun, naa), PLAN_LUN_IDENTITY },
    { "eui", ROW_PLAIN, PLAN_END, AT(config_lun, eui), PLAN_LUN_IDENTITY },
    { "vendor", ROW_TEXT, PLAN_REOPEN, AT(config_lun, vendor), PLAN_LUN_REPLACE },
    { "product", ROW_TEXT, PLAN_REOPEN, AT(config_lun, product), PLAN_LUN_REPLACE },
    { "revision", ROW_TEXT, PLAN_REOPEN, AT(config_lun, revision), PLAN_LUN_REPLACE },
    { "read-only", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, read_only), PLAN_LUN_REPLACE },
    { "block-size", ROW_PLAIN, PLAN_END, AT(config_lun, block_size), PLAN_LUN_IDENTITY },
    { "physical-block-size", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, physical_block_size),
      PLAN_LUN_REPLACE },
    { "max-compare-and-write", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, max_compare_and_write),
      PLAN_LUN_REPLACE },
    { "sanitize-rate", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, sanitize_rate), PLAN_LUN_REPLACE },
    { "deadline", ROW_PLAIN, PLAN_LIVE, AT(config_lun, deadline_ns), PLAN_LUN_LATE },
    { "when-late", ROW_PLAIN, PLAN_LIVE, AT(config_lun, when_late), PLAN_LUN_LATE },
    { "thresholds", ROW_PLAIN, PLAN_LIVE, AT(config_lun, thresholds) },
    { "removable", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, removable), PLAN_LUN_REPLACE },
    { "rotational", ROW_PLAIN, PLAN_REOPEN, AT(config_lun, rotational), PLAN_LUN_REPLACE },
    { "initiators", ROW_WORDS, PLAN_NOTICE, AT(config_lun, initiators), PLAN_LUN_MASK },
    { NULL },
};

void differ_lun(struct difference *d, const struct config_lun *a, const struct config_lun *b)
{
    differ_rows(d, plan_lun_rows, "", a, b);
}
