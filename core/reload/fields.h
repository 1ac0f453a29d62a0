/* SPDX-License-Identifier: BSD-3-Clause */
/* What has changed between two parts of the same kind; private to core/reload. */
#pragma once

#include "reload/plan.h"

/* What is found: the keys in words, and the greatest class of them. */
struct difference {
    GString *keys;
    enum plan_class class;
    unsigned lun_change; /* PLAN_LUN_* */
    bool any;
};

void difference_init(struct difference *d);
/* The keys, or NULL when nothing differs; g_free(). */
char *difference_end(struct difference *d);

void differ_daemon(struct difference *d, const struct config_daemon *a,
                   const struct config_daemon *b);
/* Told as part of the daemon. */
void differ_discovery(struct difference *d, const struct config_discovery *a,
                      const struct config_discovery *b);
void differ_portal(struct difference *d, const struct config_portal *a,
                   const struct config_portal *b);
void differ_target(struct difference *d, const struct config_target *a,
                   const struct config_target *b);
/* The rows of the LUN itself; the handler's options are differ_options(). */
void differ_lun(struct difference *d, const struct config_lun *a, const struct config_lun *b);

/*
 * Options of a plugin. `kind` is HF_KIND_*; `a` and `b` are the mappings (NULL: none), `at` is where
 * `b` has the plugin's name. Problems are those of `b`.
 */
struct plugin_use {
    uint32_t kind;
    const char *plugin;
    const struct config_node *options, *at;
};
/* `running`: options of the plugin that `b` uses, as they are in effect; problems are those of `b`. */
void differ_running(struct difference *d, const struct plugin_config *running,
                    const struct config *to, const struct plugin_use *b,
                    struct config_problems *problems);
void differ_options(struct difference *d, const struct config *from, const struct plugin_use *a,
                    const struct config *to, const struct plugin_use *b,
                    struct config_problems *problems);
