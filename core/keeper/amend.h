/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A LUN has got another size in use: workers to come have to know it, or they would find a disk that
 * is not what the configuration says. Nothing but the number is changed, whatever a worker asks for.
 */
#pragma once

#include "keeper/state.h"

/* 0; -ENOENT when the configuration says no size for it; or another negative errno: nothing changed. */
int amend_size(struct keeper *k, const struct link_amend *amend);
