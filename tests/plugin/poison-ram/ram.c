/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handler ram with a fault: while there is a file `plague` beside the plugin's own, every I/O ends the process.
 */
#define hf_plugin_v1 ram_plugin
#include "../../../handlers/ram/ram.c"
#undef hf_plugin_v1

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void);

static bool plagued(void)
{
    char path[4096];
    Dl_info own;
    if (!dladdr((void *)plagued, &own) || !own.dli_fname)
        return false;
    const char *end = strrchr(own.dli_fname, '/');
    snprintf(path, sizeof(path), "%.*s/plague", end ? (int)(end - own.dli_fname) : 0, own.dli_fname);
    return access(path, F_OK) == 0;
}

static void submit(void *queue, struct hf_io *io)
{
    if (plagued())
        abort();
    ram_submit(queue, io);
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static struct hf_handler_ops its;
    static struct hf_plugin plugin;
    plugin = *ram_plugin();
    its = ops;
    its.submit = submit;
    plugin.ops = &its;
    return &plugin;
}
