/* SPDX-License-Identifier: BSD-3-Clause */
/* See system.h. */
#include "keeper/system.h"

#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NET_CORE "/proc/sys/net/core/"

uint64_t system_files_needed(const struct config *config)
{
    return (uint64_t)config->daemon.max_connections + config_spare_connections(&config->daemon) +
           SYSTEM_FDS_FOR_OTHER_USES;
}

/* The soft limit up to the hard one; above that with CAP_SYS_RESOURCE alone, up to fs.nr_open. */
uint64_t system_raise_files(const struct config *config)
{
    struct rlimit limit, more;
    uint64_t needed = system_files_needed(config);

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return needed;
    if (limit.rlim_max < needed) {
        more = (struct rlimit){ .rlim_cur = needed, .rlim_max = needed };
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return needed;
    }
    more = (struct rlimit){ .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
    return setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : limit.rlim_cur;
}

/* The number in such a file, UINT64_MAX when there is none. */
static uint64_t number_in(const char *path)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return UINT64_MAX;
    return g_ascii_strtoull(text, NULL, 10);
}

static const struct config_node *daemon_key(const struct config *config, const char *key)
{
    const struct config_node *found = config_node_get(config->daemon.node, key);
    return found ? found : config->daemon.node;
}

static void check_files(const struct config *config, struct config_problems *problems)
{
    uint64_t needed = system_files_needed(config), limit = system_raise_files(config);
    if (limit >= needed)
        return;
    config_problem_warning(problems, daemon_key(config, "max-connections"),
                           "max-connections: %u need %" PRIu64
                           " open files, and the limit is %" PRIu64
                           "; raise it (LimitNOFILE= of the service, ulimit -n, or fs.nr_open)",
                           config->daemon.max_connections, needed, limit);
}

static void check_number(const struct config *config, const char *key, uint64_t wanted,
                         const char *path, const char *sysctl, struct config_problems *problems)
{
    uint64_t limit = number_in(path);
    if (wanted > limit)
        config_problem_warning(problems, daemon_key(config, key),
                               "%s: the kernel cuts %" PRIu64 " to %" PRIu64 "; set %s to %" PRIu64,
                               key, wanted, limit, sysctl, wanted);
}

void system_check(const struct config *config, struct config_problems *problems)
{
    const struct config_daemon *d = &config->daemon;
    check_files(config, problems);
    check_number(config, "listen-backlog", d->listen_backlog, NET_CORE "somaxconn",
                 "net.core.somaxconn", problems);
    check_number(config, "socket-receive-buffer", d->socket_receive_buffer, NET_CORE "rmem_max",
                 "net.core.rmem_max", problems);
    check_number(config, "socket-send-buffer", d->socket_send_buffer, NET_CORE "wmem_max",
                 "net.core.wmem_max", problems);
}
