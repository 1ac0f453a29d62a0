/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the service manager (sd_notify(3)). The protocol is one datagram to the socket named by
 * NOTIFY_SOCKET; written out here, because libsystemd would add more memory to both processes than
 * the whole keeper needs.
 */
#pragma once

/* "READY=1", "STOPPING=1", lines; nothing happens without a service manager. Best effort. */
void notify_send(const char *text);
