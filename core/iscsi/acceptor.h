/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections from accept to full feature phase, on the login reactor: the I/O around login.c, its
 * deadline, and the hand-over to the session's reactor. Connections come back here when they are
 * closed, to be freed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "iscsi/admission.h"
#include "iscsi/catalog.h"
#include "iscsi/discovery.h"
#include "iscsi/registry.h"
#include "reactor/histogram.h"

struct acceptor;

struct acceptor_options {
    struct engine *login;
    struct registry *registry;
    struct catalog *
        catalog; /* it takes a reference; NULL: comes by acceptor_set_catalog() before its reactor runs */
    uint32_t sessions, connections; /* records in the state arena */
    struct admission_limits limits;
    uint32_t login_concurrency;
    uint64_t login_timeout_ns;
    void *user;
    /* Login reactor: the worker is done with a slot; the socket is shut down and closed here. */
    void (*closed)(void *user, uint32_t slot);
    /* Login reactor, once, after acceptor_stop(): no connection and no session is left. */
    void (*stopped)(void *user);
};

/* Counters, written on the login reactor. */
#define ACCEPTOR_DETAILS_MAX 16

struct acceptor_counters {
    uint64_t accepted, logins, refused, timeouts;
    uint64_t refused_class[2]
                          [ACCEPTOR_DETAILS_MAX]; /* of refused: status 02xx and 03xx, by detail */
    struct histogram duration;                    /* of those that came to their end */
};

int acceptor_create(const struct acceptor_options *options, struct acceptor **ret_acceptor);
/* After the reactors have stopped. NULL is fine; returns NULL. */
struct acceptor *acceptor_free(struct acceptor *acceptor);

/*
 * What later connections find. The catalog before is returned, still with the acceptor's reference:
 * catalog_unref() when all reactors have gone round. Control thread.
 */
struct catalog *acceptor_set_catalog(struct acceptor *acceptor, struct catalog *catalog);
/* For connections that come from now on. Control thread. */
void acceptor_set_limits(struct acceptor *acceptor, uint64_t timeout_ns, uint32_t per_address,
                         uint32_t logins);

/* Control thread: takes over `fd`. `portal` is an index of the catalog. */
void acceptor_accept(struct acceptor *acceptor, int fd, uint32_t slot, unsigned portal,
                     const struct address *peer);
/*
 * A connection of an earlier process, record `index`: its stream resumed on `fd` (taken over with the
 * result). Before the reactors start. NULL and *ret_error when the two do not fit.
 */
struct connection *acceptor_adopt(struct acceptor *acceptor, uint32_t index, int fd, uint32_t slot,
                                  int *ret_error);
/* By index of the record: how far each connection has received. While every reactor holds still. */
void acceptor_received(const struct acceptor *acceptor, uint64_t *received);
/* Undoes acceptor_adopt(); the descriptor is the caller's again. */
void acceptor_unadopt(struct connection *c);
/* Any thread: no more logins; sessions finish and end in order, those that do not within the time are
   closed; then `stopped`. */
void acceptor_stop(struct acceptor *acceptor, uint64_t deadline_ns);

/*
 * Any thread: begins with no further connection (those that come are put aside, untouched) and waits
 * for the logins under way, at most `timeout_ns`; then held(user) on the login reactor. One at a time.
 */
void acceptor_hold(struct acceptor *acceptor, uint64_t timeout_ns, void (*held)(void *user),
                   void *user);
/* Any thread, after held(): goes on, with those put aside first. */
void acceptor_release(struct acceptor *acceptor);

/* For the plugins' authenticator_services.resume. */
void acceptor_auth_resume(void *login_user);
/* Text exchanges: user is the connection. */
const struct text_ops *acceptor_text_ops(const struct acceptor *acceptor);
const struct acceptor_counters *acceptor_counters(const struct acceptor *acceptor);
/* Any thread: its `refused`, and approximately `connections` and `logins`. */
const struct admission *acceptor_admission(const struct acceptor *acceptor);
