/* SPDX-License-Identifier: BSD-3-Clause */
/* See fence_helper.h. The plugin and the text of the configuration live until the process ends. */
#include "fence_helper.h"

#include "privileges.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/model.h"
#include "keeper/fence.h"
#include "plugin/loader.h"
#include "plugin/options.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Plugins may lie where only root, or only their builder, may look. */
#define WHILE_LOADING                                                                              \
    (PRIVILEGE(CAP_NET_ADMIN) | PRIVILEGE(CAP_NET_RAW) | PRIVILEGE(CAP_DAC_READ_SEARCH) |          \
     PRIVILEGE(CAP_SETPCAP)) /* the last one: to give up more */

struct helper {
    const char *verb, *instance, *file;
    uint64_t max_age_ns;
    struct config *config;
    const struct hf_fence_ops *ops;
    struct plugin_config *options;
    struct hf_fence_portal *portals;
    uint32_t portal_count;
};

static int complain(const struct helper *h, int r, const struct hf_error *error)
{
    r = r < 0 ? r : -EIO;
    log_error("fence", "%s: %s: %s", h->config->fence.plugin, h->verb,
              error->text[0] != 0 ? error->text : g_strerror(-r));
    return r;
}

/* --- the configuration --- */

static int read_config(struct helper *h, struct config_problems *problems)
{
    struct stat st;
    int fd = FENCE_HELPER_FD_CONFIG;

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return -EINVAL;
    char *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return -errno;
    int r = config_parse(text, (size_t)st.st_size, h->file, &h->config, problems);
    if (r == 0)
        log_set_level(h->config->daemon.log_level);
    if (r == 0 && h->config->fence.plugin == NULL) {
        log_error("fence", "the configuration has no fence any more");
        r = -EINVAL;
    }
    return r;
}

static struct hf_fence_portal portal_of(const struct address *a)
{
    struct hf_fence_portal p = { .size = sizeof(p) };

    if (a->any.sa_family == AF_INET) {
        p.family = HF_FENCE_IPV4;
        p.port = ntohs(a->v4.sin_port);
        memcpy(p.address, &a->v4.sin_addr, sizeof(a->v4.sin_addr));
    } else {
        p.family = HF_FENCE_IPV6;
        p.port = ntohs(a->v6.sin6_port);
        p.scope = a->v6.sin6_scope_id;
        memcpy(p.address, &a->v6.sin6_addr, sizeof(a->v6.sin6_addr));
    }
    return p;
}

static void collect_portals(struct helper *h)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct hf_fence_portal));

    for (unsigned i = 0; i < h->config->portal_count; i++) {
        const struct config_portal *portal = &h->config->portals[i];
        for (unsigned j = 0; j < portal->listen_count; j++) {
            struct hf_fence_portal p = portal_of(&portal->listen[j].address);
            g_array_append_val(all, p);
        }
    }
    h->portal_count = all->len;
    h->portals = (struct hf_fence_portal *)(void *)g_array_free(all, FALSE);
}

/* --- the plugin --- */

static int load(struct helper *h, struct config_problems *problems)
{
    const struct config_fence *fence = &h->config->fence;
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin = NULL;
    uint64_t kept = PRIVILEGE(CAP_NET_ADMIN);

    int r =
        plugin_load(h->config->daemon.plugin_path, HF_KIND_FENCE, fence->plugin, &plugin, &error);
    if (r < 0)
        return complain(h, r, &error);
    r = plugin_config_new(plugin, fence->options, fence->plugin_node, &h->options, problems);
    if (r < 0)
        return r;
    h->ops = &plugin->fence;
    if (h->ops->flags & HF_FENCE_NEEDS_NET_RAW)
        kept |= PRIVILEGE(CAP_NET_RAW);
    r = privileges_keep(kept);
    if (r < 0)
        log_error("fence", "cannot give up privileges: %s", g_strerror(-r));
    return r;
}

static int prepare(struct helper *h)
{
    struct config_problems *problems = config_problems_new();
    int r = privileges_keep(WHILE_LOADING);

    if (r < 0)
        log_error("fence", "cannot give up privileges: %s", g_strerror(-r));
    if (r == 0)
        r = read_config(h, problems);
    if (r == 0)
        r = load(h, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    if (r == 0)
        collect_portals(h);
    return r;
}

/* --- the verbs --- */

static int raise_now(struct helper *h, void *handle, struct hf_error *error)
{
    return h->portal_count == 0
               ? 0
               : h->ops->raise(handle, h->portals, h->portal_count, h->max_age_ns, error);
}

static int clean(struct helper *h, void *handle, struct hf_error *error, int *ret_exit)
{
    uint32_t up = 0;

    if (h->ops->clean == NULL)
        return h->ops->lower(handle, error);
    int r = h->ops->clean(handle, &up, error);
    if (r == 0 && up) {
        *ret_exit = FENCE_EXIT_UP;
        r = raise_now(h, handle, error);
    }
    return r;
}

static int act(struct helper *h)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    void *handle = NULL;
    int done = FENCE_EXIT_DONE;
    int r = h->ops->open(plugin_config_data(h->options), h->instance, &handle, &error);

    if (r == 0) {
        if (strcmp(h->verb, "raise") == 0)
            r = raise_now(h, handle, &error);
        else if (strcmp(h->verb, "lower") == 0)
            r = h->ops->lower(handle, &error);
        else
            r = clean(h, handle, &error, &done);
        h->ops->close(handle);
    }
    if (r == 0)
        return done;
    complain(h, r, &error);
    return FENCE_EXIT_FAILED;
}

int fence_helper_run(int argc, char **argv)
{
    static const char *const verbs[] = { "clean", "raise", "lower", NULL };

    if (argc != 6 || !g_strv_contains(verbs, argv[2]))
        return FENCE_EXIT_USAGE;
    struct helper h = { .verb = argv[2], .instance = argv[3], .file = argv[5] };
    h.max_age_ns = strtoull(argv[4], NULL, 10) * NS_PER_MS;
    if (h.instance[0] == 0 || h.max_age_ns < NS_PER_S || h.max_age_ns > 60 * NS_PER_S)
        return FENCE_EXIT_USAGE;
    prctl(PR_SET_NAME, "holdfast-fence");
    log_set_role("keeper");
    int code = FENCE_EXIT_FAILED;
    if (prepare(&h) == 0)
        code = h.ops->flags & HF_FENCE_DROPS_NOTHING ? FENCE_EXIT_NOTHING : act(&h);
    plugin_config_free(h.options);
    config_free(h.config);
    g_free(h.portals);
    return code;
}
