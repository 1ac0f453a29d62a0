/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls of the worker: a list of those that the engine, handlers and authentication plugins
 * need (seccomp(2), with libseccomp). Whatever speaks to us from the network gets no further with them
 * than serving I/O does.
 *
 *   on the list          allowed
 *   an attack for sure   the worker is killed (SIGSYS) and counts as crashed: other programs, namespaces,
 *                        mounts, modules, other processes' memory
 *   all others           fail with ENOSYS, so that a newer C library falls back to what it did before
 *
 * io_uring does its work without system calls, past every filter; what its operations may do is bounded
 * by the user and the capabilities of the process.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_SANITIZER
#define SANDBOX_SANITIZER 0 /* 1: built with a sanitizer, whose runtime does what ours never does */
#endif

/*
 * For this thread and all that it starts from now on; it cannot be undone. Needs no_new_privs. Builds with
 * a sanitizer have no filter. 0 or negative errno.
 */
int sandbox_enter(void);
