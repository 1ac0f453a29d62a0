/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See undertaker.h. It waits for the end of a pipe whose other end dies with the worker. Then the rings have to
 * be unmapped at once: the kernel keeps a ring, and the requests in it, as long as it is mapped. All other memory
 * has time, and goes in small steps with pauses between: its low priority does not count where the kernel shares
 * the machine between sessions first, and the next worker and its initiators have much to do just then. It
 * shares the worker's thread-local storage, too (it was made without one): until it is ready the worker waits,
 * and afterwards it calls nothing that uses any.
 */
#include "undertaker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "reactor/ring.h"
#include "sandbox.h"

#define NAME         "holdfast-rest"
#define NICE         10
#define READY_S      5
#define STEP_BYTES   ((uint64_t)8 << 20) /* below a millisecond */
#define WORK_NS      (NS_PER_MS / 2)     /* between pauses */
#define PAUSE_MAX_NS (10 * NS_PER_MS)
#define GENTLE_NS    NS_PER_S    /* then without pauses: very large memory */
#define STACK_BYTES  (64u << 10) /* the filter of system calls is made on it */

/* DEAD is what the kernel writes at its end (CLONE_CHILD_CLEARTID), with a wake-up. */
enum { DEAD, PENDING, READY };

static struct {
    _Alignas(64) char stack[STACK_BYTES];
    int pipe[2]; /* read by it; written by nobody */
    pid_t pid;
    bool sandbox;
    _Atomic uint32_t state;
} undertaker;

static void tell_ready(void)
{
    atomic_store(&undertaker.state, READY);
    syscall(SYS_futex, &undertaker.state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The one descriptor that it has. */
static bool keep_pipe_only(void)
{
    return dup2(undertaker.pipe[0], 0) == 0 && syscall(SYS_close_range, 1, ~0u, 0) == 0;
}

/* Rests four times as long as it has worked: of two CPUs that are needed elsewhere it takes a tenth. */
static void take_down(const struct arena *arena, uint64_t begin_ns, uint64_t *rested_ns)
{
    for (uint64_t at = 0; at < arena->bytes; at += STEP_BYTES) {
        uint64_t left = arena->bytes - at;
        munmap(arena->base + at, left < STEP_BYTES ? left : STEP_BYTES);
        uint64_t now = clock_now_ns(), pause = 4 * (now - *rested_ns);
        if (now - *rested_ns < WORK_NS || now - begin_ns > GENTLE_NS)
            continue;
        if (pause > PAUSE_MAX_NS) /* its own turn for a CPU was in it */
            pause = PAUSE_MAX_NS;
        nanosleep(&(struct timespec){ .tv_nsec = (long)pause }, NULL);
        *rested_ns = clock_now_ns();
    }
}

static void take_down_all(void)
{
    uint64_t begin = clock_now_ns(), rested = begin;

    for (unsigned i = 0; i < ARENA_MAX; i++) {
        if (arena_table[i].base != NULL)
            take_down(&arena_table[i], begin, &rested);
    }
}

static int wait_and_bury(void *unused)
{
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sched_setscheduler(0, SCHED_OTHER,
                       &(struct sched_param){ 0 }); /* a worker may hurry from the start */
    if (!keep_pipe_only() || (undertaker.sandbox && sandbox_enter() < 0))
        _exit(1);
    tell_ready();
    while (read(0, &byte, 1) > 0)
        ;
    ring_unmap_all();
    setpriority(PRIO_PROCESS, 0, NICE);
    take_down_all();
    _exit(0);
}

static void close_pipe(int end)
{
    close(undertaker.pipe[end]);
    undertaker.pipe[end] = -1;
}

static int wait_for_it(void)
{
    const struct timespec limit = { .tv_sec = READY_S };

    while (atomic_load(&undertaker.state) == PENDING) {
        if (syscall(SYS_futex, &undertaker.state, FUTEX_WAIT, PENDING, &limit, NULL, 0) < 0 &&
            errno == ETIMEDOUT)
            return -ETIMEDOUT;
    }
    return atomic_load(&undertaker.state) == READY ? 0 : -ECHILD;
}

/* It inherits the name of who starts it, and must never have the worker's: who is to kill a worker goes by that. */
static int start(void)
{
    char name[16];

    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, NAME);
    atomic_store(&undertaker.state, PENDING);
    int pid =
        clone(wait_and_bury, undertaker.stack + STACK_BYTES,
              CLONE_VM | CLONE_PARENT | CLONE_CHILD_CLEARTID, NULL, NULL, NULL, &undertaker.state);
    int r = pid < 0 ? -errno : pid;
    prctl(PR_SET_NAME, name);
    return r;
}

int undertaker_start(bool sandbox)
{
    if (SANDBOX_SANITIZER) /* which knows nothing of such processes */
        return 0;
    if (pipe2(undertaker.pipe, O_CLOEXEC) < 0)
        return -errno;
    undertaker.sandbox = sandbox;
    int pid = start();
    int r = pid < 0 ? pid : wait_for_it();
    close_pipe(0);
    if (r == 0) {
        undertaker.pid = pid;
        return 0;
    }
    if (pid > 0)
        syscall(SYS_tgkill, pid, pid, SIGKILL);
    close_pipe(1);
    return r;
}

void undertaker_dismiss(void)
{
    if (undertaker.pid)
        syscall(SYS_tgkill, undertaker.pid, undertaker.pid, SIGKILL);
    undertaker.pid = 0;
}
