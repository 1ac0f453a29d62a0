/* SPDX-License-Identifier: BSD-3-Clause */
/* What the registry and the acceptor call to make, start and end a session. */
#pragma once

#include "iscsi/engine.h"

/* A session in record `index` of the state arena; NULL: no memory. Login reactor. */
struct session *session_new(uint32_t index, uint32_t window);
/* After `gone`. NULL is fine; returns NULL. */
struct session *session_free(struct session *s);
/* Names and parameters are set: writes them into the record. */
void session_record_fill(struct session *s);
/* On the reactor where it is to live; then connections are attached. */
void session_start(struct session *s);

/* Sets reactor->user. Before the reactor starts. */
void engine_init(struct engine *e, struct reactor *reactor);

/* connection.c: what a successor has to know of the connection. Login reactor, before its final reply. */
void connection_record_fill(struct connection *c, const struct session *s);
/* Full feature phase begins; the stream is idle and detached, the session started.
   Reactor of the session. A session that is closing closes it. */
void connection_attach(struct connection *c, struct session *s);
/* The same for a connection of an earlier process: its receive state is set, nothing of it is
   announced yet; connection_go_on() follows. */
void connection_resume(struct connection *c, struct session *s);
void connection_go_on(struct connection *c);
/* The connection's own part of the parameters takes effect. */
void connection_apply_params(struct connection *c);
