/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another configuration for everything that runs, as one transaction over keeper and worker:
 *
 *   begin      the file is read (or a text comes in its place), new addresses are bound and listen,
 *              a new file is written beside the old one, plugins are tried in another process
 *   RELOAD     the worker gets the text and prepares for it; RELOAD_READY says that nothing can fail
 *   COMMIT     before it, later workers have the new text, the listeners and the file are changed
 *   RELOADED   the worker has put it into effect
 *
 * When it takes another worker (the number of reactors and the like), RELOAD_READY says so: then COMMIT only
 * names the upgrade that has begun (upgrade.c), to a worker that is given the new text, and all the above is
 * done when that one is ready.
 *
 * Until COMMIT a failure, whoever meets it, leaves everything as it was. A worker that dies after it is
 * followed by one that starts with the new text.
 */
#include "keeper/state.h"

#include "base/log.h"
#include "config/file.h"
#include "config/replace.h"
#include "keeper/fence.h"
#include "keeper/patch.h"
#include "keeper/system.h"
#include "keeper/trial.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#define READ_NS_PER_BYTE                                                                           \
    4000u /* many times what it takes, for a machine that has much else to do */

struct reload {
    char *text;
    size_t text_bytes;
    struct config *config; /* NULL: it has mistakes; the worker says which */
    int fd;                /* sealed, with the text */
    bool is_patch; /* patch.h: none of the above, and the configuration in effect serves on */
    struct patched patched;
    bool is_tried; /* ... with patched.trial_fd alone */
    struct portals portals;
    struct config_replacement *file; /* NULL: the file stays as it is */
    struct link_reload how;
    bool asked; /* by the worker, which waits for an answer */
    bool told;  /* the worker was: it reads */
    bool committed;
    bool handover; /* an upgrade carries it out */
};

static void reload_free(struct keeper *k)
{
    struct reload *r = k->reload;
    if (!r)
        return;
    trial_stop(k);
    portals_close(&r->portals);
    config_free(r->config);
    config_replace_abandon(r->file);
    if (r->fd >= 0)
        close(r->fd);
    if (r->patched.trial_fd >= 0)
        close(r->patched.trial_fd);
    g_free(r->patched.said);
    g_free(r->text);
    g_free(r);
    k->reload = NULL;
}

/* The text that the worker has is another one, or it is not understood: it shall send all of it. */
static void ask_for_whole(struct keeper *k)
{
    struct link_message m = { .type = LINK_RELOAD_FAILED, .fd = -1, .failed = { .whole = 1 } };
    supervise_tell(k, &m);
}

/* It comes to nothing before the worker was asked. */
static void refuse(struct keeper *k, bool asked, const char *why)
{
    struct link_message m = { .type = LINK_RELOAD_FAILED, .fd = -1 };
    log_error("reload", "refused, everything stays as it is: %s", why);
    if (!asked || k->worker.state != WORKER_READY)
        return;
    g_strlcpy(m.failed.text, why, sizeof(m.failed.text));
    supervise_tell(k, &m);
}

/* ---- begin ---- */

static const char *not_now(const struct keeper *k)
{
    return k->stopping || k->leaving         ? "stopping"
           : k->reload                       ? "another reload is under way"
           : k->upgrade != UPGRADE_NONE      ? "an upgrade is under way"
           : k->worker.state != WORKER_READY ? "no worker is ready"
                                             : NULL;
}

/* The first error of the list, as a line; g_free(). */
static char *first_error(struct config_problems *problems)
{
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        const struct config_problem *p = config_problems_get(problems, i);
        if (p->severity == CONFIG_ERROR)
            return config_problem_format(p);
    }
    return g_strdup("unknown");
}

/* Addresses that are new are bound, and listen. NULL, or why not; g_free(). */
static char *take_addresses(struct keeper *k, struct reload *r)
{
    struct config_problems *problems = config_problems_new();
    char *why = NULL;
    if (portals_bind(&r->portals, r->config, &k->portals, /* inherited= */ NULL, &k->store,
                     problems) < 0 ||
        portals_listen(&r->portals, problems) < 0)
        why = first_error(problems);
    config_problems_free(problems);
    return why;
}

static void tried(struct keeper *k, const char *why);

/* 0: tried() comes later. */
static int try_plugins(struct keeper *k, const struct reload *r)
{
    if (!r->is_patch && !r->config)
        return -EINVAL;
    int error = trial_start(k, k->exe, r->is_patch ? r->patched.trial_fd : r->fd, tried);
    if (error < 0)
        log_warning("reload", "plugins are not tried first error=\"%s\"", g_strerror(-error));
    return error;
}

static char *write_file(struct keeper *k, struct reload *r)
{
    struct iovec pieces[PATCH_PIECES] = { { r->text, r->text_bytes } };
    if (r->is_patch)
        patch_pieces(k, &r->patched, pieces);
    return config_replace_prepare(k->args->file, &k->seen, k->text, k->text_bytes, pieces,
                                  r->is_patch ? PATCH_PIECES : 1, &r->file);
}

/* NULL, or why not; *ret_trying: plugins are being tried. Meanwhile the file is written, which may take as long. */
static char *prepare(struct keeper *k, struct reload *r, bool *ret_trying)
{
    struct config_problems *problems = config_problems_new();
    char *why = NULL;
    if (!r->is_patch &&
        config_parse(r->text, r->text_bytes, k->args->file, &r->config, problems) < 0)
        r->config = NULL;
    config_problems_free(problems);
    int error = r->is_patch ? 0 : config_seal(r->text, r->text_bytes, &r->fd);
    if (error < 0)
        return g_strdup(g_strerror(-error));
    if (r->config)
        why = take_addresses(k, r);
    if (!why)
        *ret_trying = try_plugins(k, r) == 0;
    if (!why && r->how.write)
        why = write_file(k, r);
    return why;
}

/* What is wrong with a small configuration is said of the whole. */
static bool try_whole(struct keeper *k, struct reload *r)
{
    if (!r->is_patch || r->is_tried)
        return false;
    r->is_tried = true;
    return patch_seal(k, &r->patched, &r->fd) == 0 && trial_start(k, k->exe, r->fd, tried) == 0;
}

/* Plugins have been tried; `why`: one of them would take the worker down. */
static void tried(struct keeper *k, const char *why)
{
    struct reload *r = k->reload;
    if (why && try_whole(k, r))
        return;
    struct link_message m = { .type = LINK_RELOAD,
                              .fd = r->is_patch ? r->patched.trial_fd : r->fd,
                              .reload = r->how };
    bool asked = r->asked;
    if (!why && k->worker.state != WORKER_READY)
        why = "no worker is ready";
    if (!why && k->stopping)
        why = "stopping";
    if (why) {
        g_autofree char *text = g_strdup(why);
        reload_free(k);
        refuse(k, asked, text);
        return;
    }
    m.reload.asked = asked;
    r->told = true;
    supervise_tell(k, &m);
}

/* `r` is taken over, with what it has. */
static void begin(struct keeper *k, struct reload *r, const struct link_reload *how, bool asked)
{
    bool trying = false;
    k->reload = r;
    r->how = *how;
    r->asked = asked;
    r->fd = -1;
    if (!r->is_patch)
        r->patched.trial_fd = -1;
    g_autofree char *why = prepare(k, r, &trying);
    if (why) {
        reload_free(k);
        refuse(k, asked, why);
    } else if (!trying) {
        tried(k, /* why= */ NULL);
    }
}

/* `text` is taken over. */
static void begin_whole(struct keeper *k, char *text, size_t bytes, const struct link_reload *how,
                        bool asked)
{
    struct reload *r = g_new0(struct reload, 1);
    r->text = text;
    r->text_bytes = bytes;
    begin(k, r, how, asked);
}

void reload_begin(struct keeper *k)
{
    struct link_reload how = { 0 };
    if (k->reload && !k->stopping && !k->leaving) {
        k->reload_again = true; /* the file may have changed since it was read */
        return;
    }
    const char *why = not_now(k);
    char *text = NULL;
    size_t bytes = 0;
    int r = why ? 0 : config_file_read(k->args->file, &text, &bytes);
    g_autofree char *unread =
        r < 0 ? g_strdup_printf("%s: cannot be read: %s", k->args->file, g_strerror(-r)) : NULL;
    if (why || unread)
        refuse(k, /* asked= */ false, why ? why : unread);
    else
        begin_whole(k, text, bytes, &how, /* asked= */ false);
}

void reload_tick(struct keeper *k)
{
    if (!k->reload_again || k->reload)
        return;
    k->reload_again = false;
    reload_begin(k);
}

static void begin_patched(struct keeper *k, const struct link_message *m)
{
    struct patched p;
    if (patch_take(k, m, &p) < 0) {
        ask_for_whole(k);
        return;
    }
    struct reload *r = g_new0(struct reload, 1);
    r->is_patch = true;
    r->patched = p;
    begin(k, r, &m->reload, /* asked= */ true);
}

void reload_ask(struct keeper *k, const struct link_message *m)
{
    const char *why = not_now(k);
    if (!why && m->reload.patched) {
        begin_patched(k, m);
        return;
    }
    char *text = NULL;
    size_t bytes = 0;
    int r = 0;
    if (!why)
        r = m->fd >= 0 ? config_file_read_fd(m->fd, &text, &bytes)
                       : config_file_read(k->args->file, &text, &bytes);
    g_autofree char *unread =
        r < 0 ? g_strdup_printf("%s: cannot be read: %s", k->args->file, g_strerror(-r)) : NULL;
    if (why || unread)
        refuse(k, /* asked= */ true, why ? why : unread);
    else
        begin_whole(k, text, bytes, &m->reload, /* asked= */ true);
}

/* ---- the worker is ready for it ---- */

/* A fence has the addresses and the plugin of the configuration it was started with. */
static void change_fence(struct keeper *k)
{
    fence_close(k);
    fence_start(k);
    fence_worker_ready(k);
}

static bool same_fence(const struct config *a, const struct config *b)
{
    return (a->fence.node != NULL) == (b->fence.node != NULL) &&
           g_strcmp0(a->fence.plugin, b->fence.plugin) == 0;
}

/* The file has the new text, if it is to have it; else it is not ours any more. 0 or negative errno. */
static int commit_file(struct keeper *k, struct reload *r)
{
    bool writes = r->file != NULL;
    int error = config_replace_commit(&r->file, &k->seen);
    if (!writes || error < 0)
        k->seen.known = false;
    return error;
}

/* For workers to come. */
static void take_text(struct keeper *k, struct reload *r)
{
    keeper_config_forget(k);
    k->config_fd = r->fd;
    r->fd = -1;
    g_free(k->text);
    k->text = g_steal_pointer(&r->text);
    k->text_bytes = r->text_bytes;
}

/* A worker that comes later gets it from what we have. */
static void commit_patched(struct keeper *k, struct reload *r)
{
    k->text = config_patch_put(&r->patched.patch, k->text, &k->text_bytes);
    keeper_config_forget(k);
    k->targets = r->how.targets;
    resume_config_changed(k);
    record_write(k);
    k->unsettled = true;
    r->committed = true;
}

static void commit(struct keeper *k, struct reload *r)
{
    const struct config *before = k->config;
    bool fence = !same_fence(before, r->config);
    struct config *old = k->own_config;
    take_text(k, r);
    k->own_config = g_steal_pointer(&r->config);
    k->config = k->own_config;
    k->targets = k->config->target_count;
    accept_change(k, &r->portals);
    resume_config_changed(k);
    record_write(k);
    if (fence)
        change_fence(k);
    else
        fence_config_changed(k);
    config_free(old);
    log_set_level(k->config->daemon.log_level);
    accept_change_limit(k);
    k->unsettled = true;
    r->committed = true;
}

/* NULL, or why not. */
static const char *hand_over(struct keeper *k, struct reload *r)
{
    if (k->stopping || k->leaving || !r->config)
        return k->stopping || k->leaving ? "stopping" : "the configuration has mistakes";
    system_raise_files(r->config); /* a worker gets its limit from us */
    r->handover = true;
    upgrade_begin_config(k, r->fd);
    return k->reload ? NULL : k->report.why; /* it has failed already */
}

static void begin_handover(struct keeper *k, struct reload *r)
{
    struct link_message m = { .type = LINK_COMMIT, .fd = -1 };
    const char *why = hand_over(k, r);
    if (why) {
        g_strlcpy(m.verdict.text, why, sizeof(m.verdict.text));
        log_error("reload", "refused, everything stays as it is: %s", why);
        reload_free(k);
    } else {
        m.verdict.ok = LINK_OK_HANDOVER;
        g_snprintf(m.verdict.text, sizeof(m.verdict.text), "%u", k->report.number);
    }
    supervise_tell(k, &m);
}

bool reload_is_handover(const struct keeper *k)
{
    return k->reload && k->reload->handover;
}

void reload_handover_failed(struct keeper *k)
{
    if (!reload_is_handover(k))
        return;
    log_error("reload", "the old configuration stays in effect");
    reload_free(k);
}

static const char *why_not_replaced(int error)
{
    return error == -EBUSY ? "it has changed meanwhile; reload it first" : g_strerror(-error);
}

void reload_handed_over(struct keeper *k)
{
    struct reload *r = k->reload;
    int error = commit_file(k, r);
    if (error < 0)
        log_error("reload", "%s: keeps its old text: %s", k->args->file, why_not_replaced(error));
    commit(k, r);
    reload_done(k, &(struct link_verdict){ .ok = LINK_OK });
}

void reload_prepared(struct keeper *k, const struct link_verdict *verdict)
{
    struct reload *r = k->reload;
    struct link_message m = { .type = LINK_COMMIT, .fd = -1 };
    if (!r || r->committed || r->handover)
        return;
    if (verdict->ok == LINK_OK_HANDOVER) {
        begin_handover(k, r);
        return;
    }
    if (!verdict->ok) {
        log_error("reload", "refused, everything stays as it is: %s", verdict->text);
        reload_free(k);
        return;
    }
    bool good = r->config || r->is_patch;
    int error = k->stopping ? -ECANCELED : good ? commit_file(k, r) : -EINVAL;
    if (error < 0) {
        g_snprintf(m.verdict.text, sizeof(m.verdict.text), "%s: cannot be put into effect: %s",
                   k->args->file, why_not_replaced(error));
        log_error("reload", "refused, everything stays as it is: %s", m.verdict.text);
        reload_free(k);
    } else {
        if (r->is_patch)
            commit_patched(k, r);
        else
            commit(k, r);
        m.verdict.ok = LINK_OK;
    }
    supervise_tell(k, &m);
}

void reload_done(struct keeper *k, const struct link_verdict *verdict)
{
    if (!k->reload || !k->reload->committed)
        return;
    k->unsettled = false;
    reload_free(k);
    g_autofree char *listens = portals_describe(&k->portals);
    if (verdict->ok)
        log_notice("reload", "done config=%s targets=%u listen: %s", k->args->file, k->targets,
                   listens);
    else
        log_error("reload", "done, but: %s", verdict->text);
}

uint64_t reload_reading_ns(const struct keeper *k)
{
    const struct reload *r = k->reload;
    return r && r->told && !r->is_patch ? r->text_bytes * READ_NS_PER_BYTE : 0;
}

void reload_death(struct keeper *k)
{
    if (!k->reload)
        return;
    if (k->reload->committed)
        log_notice("reload",
                   "the worker died meanwhile; the next one starts with the new configuration");
    else
        log_error("reload", "the worker died meanwhile, everything stays as it is");
    reload_free(k);
}

/* ---- life ---- */

void reload_init(struct keeper *k)
{
    k->config = k->args->config;
    k->targets = k->config->target_count;
    k->text = g_memdup2(k->args->text, k->args->text_bytes);
    k->text_bytes = k->args->text_bytes;
}

void reload_deinit(struct keeper *k)
{
    reload_free(k);
    k->own_config = config_free(k->own_config);
    g_clear_pointer(&k->text, g_free);
}
