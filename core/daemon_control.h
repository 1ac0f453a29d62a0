/* SPDX-License-Identifier: BSD-3-Clause */
/* The control interface (core/control) of this worker: what it needs is fetched from the daemon here. */
#pragma once

#include "daemon_private.h"

/* Serves the control socket that the keeper has passed on, if it has. After READY. */
void daemon_control_start(struct daemon *d);
void daemon_control_stop(struct daemon *d);
void daemon_control_free(struct daemon *d);
/* From the keeper. */
void daemon_control_status(struct daemon *d, const struct link_status *status);
void daemon_control_fence(struct daemon *d, const struct link_fence *f);
void daemon_control_upgrade(struct daemon *d, const struct link_upgrade *u);
