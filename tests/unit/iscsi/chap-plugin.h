/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The auth-chap plugin, loaded alone as the daemon loads it: through hf_plugin_v1(), with its
 * config struct filled by the offsets of its own option table.
 */
#pragma once

#include <holdfast/auth.h>

struct chap_user_option {
    const char *name, *secret;
};

struct chap_setup {
    struct chap_user_option users[4]; /* ended by a NULL name */
    struct chap_user_option mutual;   /* name NULL: none */
    const char *algorithms;           /* one word of the option, or NULL */
};

/* Loads the plugin once a process. */
const struct hf_plugin *chap_plugin(const char *path);
const struct hf_auth_ops *chap_ops(void);
/* A config struct; frees the one before. */
const void *chap_config(const struct chap_setup *setup);
void chap_config_free(void);
/* What the plugin last told host->fail(), and how many warnings it has logged. */
extern char chap_failure[256];
extern unsigned chap_warnings;
