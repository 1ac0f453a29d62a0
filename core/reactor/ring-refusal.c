/* SPDX-License-Identifier: BSD-3-Clause */
/* Why the kernel refused a ring, in words for the person who can change it (ring.h). */
#include "reactor/ring.h"

#include <errno.h>
#include <stdio.h>

static int sysctl_disabled(void)
{
    int value = 0;
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%d", &value) != 1)
        value = 0;
    fclose(f);
    return value;
}

const char *ring_refusal_text(int err)
{
    switch (err < 0 ? -err : err) {
    case EPERM:
    case EACCES:
        if (sysctl_disabled())
            return "io_uring is switched off: sysctl kernel.io_uring_disabled is not 0 "
                   "(1 admits CAP_SYS_ADMIN and the group kernel.io_uring_group, 2 nobody)";
        return "io_uring is forbidden, most likely by a seccomp filter (container runtime, or "
               "SystemCallFilter= of the unit: allow io_uring_setup, io_uring_enter and "
               "io_uring_register)";
    case ENOSYS:
        return "io_uring is missing: the kernel was built without it, or a seccomp filter hides it "
               "(allow io_uring_setup, io_uring_enter and io_uring_register)";
    case EINVAL:
    case EOPNOTSUPP:
        return "io_uring of this kernel is too old: Linux 6.1 or later is needed";
    case ENOMEM:
        return "io_uring found no memory: raise the lock limit (ulimit -l, LimitMEMLOCK=) or the "
               "memory limit of the control group";
    case EMFILE:
    case ENFILE:
        return "io_uring needs a file descriptor and there is none left: raise LimitNOFILE=";
    default:
        return "io_uring cannot be set up";
    }
}
