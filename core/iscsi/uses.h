/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether sessions still hold on to what is to be taken away. */
#pragma once

#include <stdbool.h>

#include "iscsi/engine.h"

/*
 * On the engine's reactor: a session with this target has an answer that is sent from the store of this
 * arena (0: none), or a task management function that may wait for one of the target's units.
 */
bool engine_uses(const struct engine *e, const struct scsi_target *target, unsigned arena);

/* On the engine's reactor: an answer has bytes that are yet to be sent, or sent to their end, from the
   store of this arena. */
bool engine_sends_store(const struct engine *e, uint32_t arena);

/* On the engine's reactor: something is queued at a connection that lies in this arena. */
bool engine_queues_store(const struct engine *e, uint32_t arena);
