/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fence plugin that only notes in a file what it would drop. A real one drops those packets, and then
 * HF_FENCE_DROPS_NOTHING goes: with it the daemon calls validate() alone.
 */
#include <holdfast/fence.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct config {
    const char *path;
};

static const struct hf_host *host;

static const struct hf_option options[] = {
    {
        .size = sizeof(struct hf_option),
        .type = HF_OPTION_PATH,
        .name = "path",
        .help = "the file",
        .flags = HF_OPTION_REQUIRED,
        .offset = offsetof(struct config, path),
    },
    { .size = 0 },
};

static int32_t note_open(const void *config, const char *instance, void **ret_handle,
                         struct hf_error *error)
{
    *ret_handle = (void *)config;
    return 0;
}

static FILE *open_note(const struct config *config, struct hf_error *error)
{
    FILE *file = fopen(config->path, "we");
    if (!file)
        host->fail(error, errno, "%s: %s", config->path, strerror(errno));
    return file;
}

/* The list replaces the one before: the file is written anew. Rows are `size` bytes apart. */
static int32_t note_raise(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                          uint64_t max_age_ns, struct hf_error *error)
{
    const char *row = (const char *)portals;
    FILE *file = open_note(handle, error);
    if (!file)
        return -EIO;
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_fence_portal *portal = (const void *)row;
        char text[INET6_ADDRSTRLEN];
        inet_ntop(portal->family == HF_FENCE_IPV4 ? AF_INET : AF_INET6, portal->address, text,
                  sizeof(text));
        fprintf(file, "%s port %u\n", text, portal->port);
        row += portals->size;
    }
    return fclose(file) == 0 ? 0 : host->fail(error, errno, "%s", strerror(errno));
}

static int32_t note_lower(void *handle, struct hf_error *error)
{
    FILE *file = open_note(handle, error);
    if (!file)
        return -EIO;
    fclose(file);
    return 0;
}

static void note_close(void *handle)
{
}

static int32_t note_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_fence_ops ops = {
    .size = sizeof(ops),
    .flags = HF_FENCE_DROPS_NOTHING,
    .open = note_open,
    .raise = note_raise,
    .lower = note_lower,
    .close = note_close,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_FENCE,
        .name = "note",
        .version = "1.0",
        .summary = "notes what a fence would drop",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = note_load,
    };
    return &plugin;
}
