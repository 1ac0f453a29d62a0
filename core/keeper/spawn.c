/* SPDX-License-Identifier: BSD-3-Clause */
/* See spawn.h. A signal's handler would run in memory that is not the child's: none does, in either. */
#include "keeper/spawn.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

pid_t spawn(spawn_child_fn *child, const void *data)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0)
        child(data);
    if (pid < 0)
        pid = -errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}
