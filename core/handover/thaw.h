/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that an earlier process left in the state arena: from records and sockets back to running
 * sessions. In two steps: everything is rebuilt before the reactors start (allocators are rebuilt
 * from what is in use, never trusted), then each session goes on from a message on its reactor.
 *
 * Whatever does not fit together is not resumed: its connections are left to be closed in order, and
 * the initiator logs in again. Never a wrong byte.
 *
 * What is executed again is legal to execute again: the initiator has no answer yet. Reads, writes
 * whose data is complete, flushes, unmaps and zeroing have the same effect twice as once as long as
 * nobody has seen the answer of the first; commands of one session for the same blocks stay in order.
 * COMPARE AND WRITE and EXTENDED COPY keep how far they are (scsi_command.kept) and go on from there.
 */
#pragma once

#include "iscsi/acceptor.h"
#include "iscsi/registry.h"

/* A held connection, as the keeper gave it back. */
struct thaw_socket {
    int fd;             /* -1 afterwards: taken over */
    uint32_t slot;
    unsigned portal;
    struct address peer;
};

struct thaw_result {
    unsigned sessions, connections, tasks; /* going on */
    unsigned doubtful;                     /* sessions that were not resumed */
    unsigned quarantined;                  /* of them, because of what a connection sent */
};

#define THAW_BLAMES_MAX 2u  /* crashes over one connection; then it is not resumed */
#define THAW_CRASHES_MAX 5u /* deaths in a row; then nothing is resumed */

/*
 * Before thaw_all(), with all units open: missing() for each store that is not mapped, but named by what is queued to
 * be sent, or was; once for each.
 */
void thaw_stores(void (*missing)(void *user, unsigned arena), void *user);

/*
 * After the units are open and before the reactors start. Sockets that belong to a session that is
 * resumed are taken over; the records of all others are cleared. The messages that set the sessions
 * going are posted. `crashed`: the earlier worker died by its own fault; the connections that its
 * reactors were parsing are blamed for it.
 */
void thaw_all(struct acceptor *acceptor, struct registry *registry, const struct catalog *catalog,
              struct thaw_socket *sockets, unsigned count, bool crashed,
              struct thaw_result *ret_result);
