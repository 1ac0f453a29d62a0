/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task management functions, between the files that do them: management.c takes requests, aborts and
 * answers, management_reset.c does what concerns other sessions, management_query.c only looks.
 * A function (a task of kind TASK_MANAGEMENT) answers when `waits_for` is 0. All on the session's reactor.
 */
#pragma once

#include "iscsi/engine.h"
#include "scsi/target.h"

/* The header of the request. */
static inline const uint8_t *management_request(const struct task *t)
{
    return t->record->small;
}

/* Both forms of an address reach a unit (scsi/target.h), so a task may have come by the other one. */
static inline bool management_same_lun(uint64_t a, uint64_t b)
{
    return a == b || (scsi_lun_decode(a) >= 0 && scsi_lun_decode(a) == scsi_lun_decode(b));
}

/* One of the things it waits for is over; the last one answers. */
void management_settle(struct task *t);
/* Ends the commands of this session for the LUN of the request (or for all) that came before it. */
void management_abort_own(struct task *t, bool all_luns);
/* A command with that number was sent before the function and has not come: it counts as received
   (RFC 7143 11.6.1). False: the number is not between ExpCmdSN and that of the function. */
bool management_take_number(struct task *t, uint32_t cmd_sn);
/*
 * FastAbort (RFC 7143 4.2.3.4): each connection of the session but `except`, on which a command for the
 * unit (NULL: for *lun; NULL, too: any) is about to end, is told so by an Asynchronous Message a unit.
 * Nothing on a session with another TaskReporting. Before they are ended; on the session's reactor.
 */
void management_tell(struct session *s, const struct connection *except,
                     const struct scsi_unit *unit, const uint64_t *lun);
/* Begins a reset: a unit, or all that the nexus sees. */
void management_reset(struct task *t, uint8_t function);
/* QUERY TASK, QUERY TASK SET and QUERY ASYNCHRONOUS EVENT (RFC 7144 6): sets t->response. */
void management_query(struct task *t, uint8_t function);
