/* SPDX-License-Identifier: BSD-3-Clause */
/* See daemon_control.h. */
#include "daemon_control.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

static const struct config *config_of(void *user)
{
    return ((struct daemon *)user)->config;
}

static const char *text_of(void *user, size_t *ret_length)
{
    const struct daemon *d = user;
    *ret_length = d->text_length;
    return d->text;
}

static bool is_stopping(void *user)
{
    return ((struct daemon *)user)->stopping;
}

static unsigned target_count(void *user)
{
    return ((struct daemon *)user)->target_count;
}

static void get_target(void *user, unsigned target, struct control_target *ret_target)
{
    const struct daemon *d = user;
    const struct config_target *c = d->targets[target]->config;
    *ret_target = (struct control_target){ .config = c, .lun_count = d->targets[target]->lun_count };
}

static void get_lun(void *user, unsigned target, unsigned lun, struct control_lun *ret_lun)
{
    const struct daemon *d = user;
    const struct daemon_lun *l = d->targets[target]->luns[lun];
    *ret_lun = (struct control_lun){ .config = l->config, .backend = l->backend, .unit = l->unit };
    ret_lun->is_absent = daemon_absent_is(l, &ret_lun->absent);
}

static void ask_keeper(void *user)
{
    struct daemon *d = user;
    daemon_tell(d, &(struct link_message){ .type = LINK_STATUS_GET, .fd = -1 });
}

static void ask(void *user, enum control_ask what, uint32_t id, const char *path, bool worker_only)
{
    static const enum link_what asked[] = {
        [CONTROL_FENCE_SHOW] = LINK_FENCE_SHOW,       [CONTROL_FENCE_RAISE] = LINK_FENCE_RAISE,
        [CONTROL_FENCE_LOWER] = LINK_FENCE_LOWER,     [CONTROL_UPGRADE_SHOW] = LINK_UPGRADE_SHOW,
        [CONTROL_UPGRADE_BEGIN] = LINK_UPGRADE_BEGIN,
    };
    struct daemon *d = user;
    struct link_message m = { .type = LINK_ASK,
                              .fd = -1,
                              .ask = { id, asked[what], "", worker_only } };
    g_strlcpy(m.ask.path, path ? path : "", sizeof(m.ask.path));
    daemon_tell(d, &m);
}

void daemon_control_fence(struct daemon *d, const struct link_fence *f)
{
    struct control_fence fence = {
        .error = f->error,
        .configured = f->configured,
        .up = f->up,
        .wanted = f->wanted,
        .busy = f->busy,
        .up_ns = f->up_ns,
        .left_ns = f->left_ns,
        .up_total_ns = f->up_total_ns,
        .raised = f->raised,
        .renewed = f->renewed,
        .lowered = f->lowered,
        .failed = f->failed,
        .timeouts = f->timeouts,
        .plugin = f->plugin,
        .reason = f->reason,
        .last_error = f->last_error,
    };
    control_fence_answer(d->control, f->id, &fence);
}

void daemon_control_upgrade(struct daemon *d, const struct link_upgrade *u)
{
    static const enum control_upgrade_state states[] = {
        [LINK_UPGRADE_NONE] = CONTROL_UPGRADE_NONE,
        [LINK_UPGRADE_PREPARING] = CONTROL_UPGRADE_PREPARING,
        [LINK_UPGRADE_FREEZING] = CONTROL_UPGRADE_FREEZING,
        [LINK_UPGRADE_TAKING_OVER] = CONTROL_UPGRADE_TAKING_OVER,
        [LINK_UPGRADE_DONE] = CONTROL_UPGRADE_DONE,
        [LINK_UPGRADE_FAILED] = CONTROL_UPGRADE_FAILED,
    };
    struct control_upgrade upgrade = {
        .state = u->state < G_N_ELEMENTS(states) ? states[u->state] : CONTROL_UPGRADE_NONE,
        .number = u->number,
        .generation = u->generation,
        .pid = u->pid,
        .pause_ns = u->pause_ns,
        .binary = u->binary,
        .why = u->why,
        .keeper = (enum control_upgrade_keeper)u->keeper, /* the same numbers */
        .keeper_why = u->keeper_why,
    };
    control_upgrade_answer(d->control, u->id, &upgrade);
}

void daemon_control_status(struct daemon *d, const struct link_status *status)
{
    struct control_keeper keeper = {
        .uptime_ns = status->uptime_ns,
        .refused = status->refused,
        .generation = status->generation,
        .deaths = status->deaths,
        .held = status->held,
        .held_max = status->held_max,
        .upgrades = status->upgrades,
        .restarts = status->restarts,
        .fence = status->fence,
    };
    keeper.keepers = status->keepers;
    g_strlcpy(keeper.version, status->version, sizeof(keeper.version));
    g_strlcpy(keeper.how, status->how, sizeof(keeper.how));
    control_keeper_answer(d->control, &keeper);
}

/* Whether the keeper has left a listening socket at this number. */
static bool listens(int fd)
{
    int on = 0;
    socklen_t length = sizeof(on);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &length) == 0 && on;
}

void daemon_control_start(struct daemon *d)
{
    struct control_services services = {
        .user = d,
        .generation = d->args->generation,
        .engines = d->engine_list,
        .engine_count = d->data_count + 1,
        .registry = d->registry,
        .acceptor = d->acceptor,
        .config = config_of,
        .auth = daemon_auth_in_effect,
        .text = text_of,
        .stopping = is_stopping,
        .take_over = &d->taken_over,
        .target_count = target_count,
        .target = get_target,
        .lun = get_lun,
        .ask_keeper = ask_keeper,
        .ask = ask,
        .resize = daemon_resize,
        .reload = daemon_reload_ask,
        .slice = daemon_slice,
        .revise = daemon_revise_ask,
        .draining = daemon_retiring,
    };
    int fd = LINK_WORKER_FD_CONTROL;
    if (listens(fd))
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    else
        fd = -1;
    int r = control_create(&services, fd, &d->control);
    if (r < 0)
        log_error("daemon", "no control interface error=\"%s\"", g_strerror(-r));
}

void daemon_control_stop(struct daemon *d)
{
    control_stop(d->control);
}

void daemon_control_free(struct daemon *d)
{
    d->control = control_free(d->control);
}
