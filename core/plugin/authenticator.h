/* SPDX-License-Identifier: BSD-3-Clause */
/* Authentication plugins as the login's struct iscsi_authenticator. */
#pragma once

#include "iscsi/authenticator.h"
#include "plugin/options.h"
#include "reactor/reactor.h"

/* Constant, outlives every authenticator. */
struct authenticator_services {
    struct reactor *login_reactor;
    /* On the login reactor: the plugin can go on; calls login_resume_auth() for this connection
       (login->user). Never after the attempt has ended. */
    void (*resume)(void *login_user);
};

/*
 * Opens one entry of `auth:`. `config` is taken over, also on failure. Control thread. 0 and
 * *ret_authenticator; or negative errno and a line in `error`.
 */
int plugin_authenticator_open(const struct plugin *plugin, struct plugin_config *config,
                              const struct authenticator_services *services,
                              struct iscsi_authenticator **ret_authenticator,
                              struct hf_error *error);
/* The options it was opened with, secrets as they were read then. Its own; control thread. */
const struct plugin_config *plugin_authenticator_config(
    const struct iscsi_authenticator *authenticator);
/* No attempt is open any more. Control thread. NULL is fine; returns NULL. */
struct iscsi_authenticator *plugin_authenticator_close(struct iscsi_authenticator *authenticator);
