/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See fence_privileges.h. A program started by root gets every capability of the bounding set, unless
 * NOROOT is set; what it is to have without that goes through the ambient set.
 */
#include "fence_privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECURE                                                                                     \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                               \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED)

static int permitted(uint64_t *ret_caps)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    *ret_caps = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

static int set_all(uint64_t caps)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    for (unsigned i = 0; i < 2; i++) {
        uint32_t half = (uint32_t)(caps >> (32 * i));
        data[i] = (struct __user_cap_data_struct){ half, half, half };
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int fence_privileges_keep(uint64_t kept)
{
    uint64_t have = 0;
    int r = permitted(&have);

    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (have & PRIVILEGE(CAP_SETPCAP)) {
        if (prctl(PR_SET_SECUREBITS, SECURE, 0, 0, 0) < 0)
            return -errno;
        for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
            if (!(kept & PRIVILEGE(cap)))
                prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
    }
    kept &= have;
    r = set_all(kept); /* this also takes what is not kept out of the ambient set */
    for (int cap = 0; r == 0 && cap < 64; cap++) {
        if ((kept & PRIVILEGE(cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            r = -errno;
    }
    return r;
}
