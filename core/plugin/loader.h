/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins of this process: found, loaded, checked, and kept for ever. What comes out of a shared
 * object is copied into zero-extended structs of our own sizes (newer or older plugins of the same
 * major version), and its option table is checked before anything uses it.
 *
 * Every failure is one line that names the file and the cause.
 *
 * Thread: the control thread alone loads; a loaded plugin is constant and may be read anywhere.
 */
#pragma once

#include <stdbool.h>

#include <holdfast/auth.h>
#include <holdfast/fence.h>
#include <holdfast/handler.h>
#include <holdfast/plugin.h>

#include "plugin/error.h"

struct plugin {
    struct plugin *next;   /* all plugins of the process */
    char *path;            /* of the shared object, as opened */
    void *handle;          /* of dlopen(); never closed */
    struct hf_plugin info; /* .options is our own, normalised copy (NULL: none) */
    union {                /* by info.kind */
        struct hf_handler_ops handler;
        struct hf_auth_ops auth;
        struct hf_fence_ops fence;
    };
    struct hf_host host; /* what the plugin was given */
    bool ready;          /* usable; otherwise `failure` says why not, for every later try */
    struct hf_error failure;
};

/* "handler", "auth", "fence"; "unknown" otherwise. */
const char *plugin_kind_name(uint32_t kind);
/* The built-in directory (meson: plugin_dir), or those of HOLDFAST_PLUGIN_DIR in the environment
   ("A:B"), for tests and for a daemon that runs from its build tree. Ends with NULL; g_strfreev(). */
char **plugin_builtin_directories(void);

/*
 * The plugin `name` of a kind (HF_KIND_*). Looked for as DIR/FILE.so and DIR/FILE/FILE.so for each
 * directory of `paths` (ends with NULL; may be NULL) and then the built-in one, FILE being NAME,
 * auth-NAME or fence-NAME; the first directory with such a file decides, and must have one of them. Loaded once a process: later calls
 * get the same, whatever `paths` says. 0 and *ret_plugin, or negative errno and a line in `error`:
 * -ENOENT not found, -EINVAL not a plugin of ours, others from load().
 */
int plugin_load(const char *const *paths, uint32_t kind, const char *name,
                const struct plugin **ret_plugin, struct hf_error *error);
/* The paths of the last plugin_load() that had some: where a handler finds one that it wraps. */
const char *const *plugin_search_paths(void);
/* The same for one file, whatever its name and kind are. */
int plugin_load_file(const char *path, const struct plugin **ret_plugin, struct hf_error *error);
