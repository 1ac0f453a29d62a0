/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker on strings. The keeper starts it like the real one (this test program again, with
 * `--worker`); it connects to the test, tells it every message that the keeper sends and does what
 * the test says, so that each test is a story without sleeps.
 *
 * Its "configuration" is the abstract name of the test's socket. One datagram a line, both ways.
 *
 *   worker says   hello GENERATION FILE   GO   CONNECTION SLOT PORTAL LISTENER PEER   STOP   RELOAD
 *                 MEMFD ERRNO EXISTED CONTENT   READ TEXT   END (the keeper is gone)
 *   test says     ready   failed TEXT   closed SLOT   stopped   exit CODE   abort   nonsense   deaf   hear
 *                 get NAME BYTES   fill TEXT (the last memfd)   say SLOT TEXT   read SLOT
 *                 prepared   nothing-lasts (of the dead one: written to its tombstone)
 *                 tombstone (its write end is sent to the test: as if a ring outlived the worker)
 */
#pragma once

int fake_worker_run(int argc, char **argv);
