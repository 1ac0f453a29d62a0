/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has been here: every nexus (initiator's name, ISID, target, portal group) that has had a session, as one
 * number, over the end of the worker, of the daemon and of the machine. A nexus that is not among them is
 * new, and gets what SAM-5 has for it: POWER ON OCCURRED (scsi/nexus.h). One that returns must not get
 * that, however long it was away.
 *
 * The numbers are in two files of the state directory, of which the newer one grows by a number at a time. When it
 * is full it becomes the older one, and what was in that is forgotten: initiators that choose another ISID
 * each time fill no disk and no memory. Writing is left to the pool and not waited for: a number that did not
 * get there before a death makes its nexus new once more. Where nothing can be kept nobody is new.
 *
 * Thread: the login reactor, and the control thread before the reactors start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct visitors;

#define VISITORS_A_FILE 32768u /* numbers */

/* Reads what is known; may block. `state_directory` NULL or not usable: an empty object for which nobody is new.
   0 or -ENOMEM. */
int visitors_open(const char *state_directory, struct pool *pool, struct visitors **ret_visitors);
/* What has not been written yet is written still, if the pool runs what it has. NULL is fine; returns NULL. */
struct visitors *visitors_close(struct visitors *visitors);

/* Never 0; the same in every process. */
uint64_t visitors_number(const char *initiator, const uint8_t *isid, const char *target,
                         uint16_t portal_group_tag);
/* Was it ever here? NULL visitors: nobody is new. */
bool visitors_is_new(const struct visitors *visitors, uint64_t number);
/* It is here now. NULL is fine. */
void visitors_add(struct visitors *visitors, uint64_t number);
