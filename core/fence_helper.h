/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short-lived process that runs a fence plugin for the keeper (keeper/fence.h):
 *   holdfastd --fence-helper clean|raise|lower INSTANCE MAX_AGE_MS FILE
 * It reads the sealed configuration at FENCE_HELPER_FD_CONFIG, loads the plugin that `fence:` names,
 * gives up every privilege but CAP_NET_ADMIN (for itself and all it starts), does one thing and ends
 * with an enum fence_exit. Why something failed is in the log.
 */
#pragma once

int fence_helper_run(int argc, char **argv);
