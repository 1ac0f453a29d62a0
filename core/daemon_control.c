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

static bool is_stopping(void *user)
{
    return ((struct daemon *)user)->stopping;
}

static unsigned target_count(void *user)
{
    return ((struct daemon *)user)->config->target_count;
}

static void get_target(void *user, unsigned target, struct control_target *ret_target)
{
    const struct daemon *d = user;
    const struct config_target *c = d->targets[target].config;
    *ret_target = (struct control_target){ .config = c, .lun_count = c->lun_count };
}

static void get_lun(void *user, unsigned target, unsigned lun, struct control_lun *ret_lun)
{
    const struct daemon *d = user;
    const struct daemon_lun *l = &d->targets[target].luns[lun];
    *ret_lun = (struct control_lun){ .config = l->config, .backend = l->backend, .unit = l->unit };
}

static void ask_keeper(void *user)
{
    struct daemon *d = user;
    daemon_tell(d, &(struct link_message){ .type = LINK_STATUS_GET, .fd = -1 });
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
        .stopping = is_stopping,
        .take_over = &d->taken_over,
        .target_count = target_count,
        .target = get_target,
        .lun = get_lun,
        .ask_keeper = ask_keeper,
        .resize = daemon_resize,
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
