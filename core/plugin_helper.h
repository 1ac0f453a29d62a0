/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before a running service loads plugins: holdfastd --plugin-helper FILE, from the keeper alone
 * (keeper/trial.h), with the text of the configuration at TRIAL_FD_CONFIG. Only files that
 * are of no use count: what crashes, exits or hangs would take the service along, and what has been linked
 * stays, also when it is replaced by a good one. All other mistakes are found, and said with their
 * places, by the worker.
 */
#pragma once

/* 0; 1 and a line on standard output. */
int plugin_helper_run(int argc, char **argv);
