/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See privileges.h. A program started by root gets every capability of the bounding set, unless
 * NOROOT is set; what it is to have without that goes through the ambient set.
 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox.h"
#include "undertaker.h"

/* NET_ADMIN: sockets that end without a word (TCP_REPAIR); and NET_RAW: for the fence helper. */
#define KEEPER                                                                                     \
    (PRIVILEGE(CAP_NET_BIND_SERVICE) | PRIVILEGE(CAP_NET_ADMIN) | PRIVILEGE(CAP_NET_RAW) |         \
     PRIVILEGE(CAP_KILL) | PRIVILEGE(CAP_CHOWN) | PRIVILEGE(CAP_FOWNER) |                          \
     PRIVILEGE(CAP_SYS_RESOURCE) | PRIVILEGE(CAP_SYS_NICE) | TO_BECOME | WORKER_AS_ROOT)
#define WORKER_AS_ROOT                                                                             \
    (PRIVILEGE(CAP_DAC_OVERRIDE) | PRIVILEGE(CAP_DAC_READ_SEARCH) | PRIVILEGE(CAP_IPC_LOCK))
#define TO_BECOME (PRIVILEGE(CAP_SETUID) | PRIVILEGE(CAP_SETGID) | PRIVILEGE(CAP_SETPCAP))

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

int privileges_keep(uint64_t kept)
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

int privileges_keeper(void)
{
    return privileges_keep(KEEPER);
}

/* Buffers are registered with rings, which locks them; as another user the limit would be in the way. */
static void lift_limits(void)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    setrlimit(RLIMIT_MEMLOCK, &limit); /* when it cannot be, rings do without */
}

/* The capability to give up others goes last. */
static int become(const struct passwd *pw)
{
    int r = privileges_keep(TO_BECOME);
    if (r < 0)
        return r;
    if (initgroups(pw->pw_name, pw->pw_gid) < 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
        return -errno;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* that has cleared it: not without the keeper */
    if (SANDBOX_SANITIZER)
        prctl(PR_SET_DUMPABLE, 1); /* at its end it looks at its own threads */
    return privileges_keep(0);
}

int privileges_worker(const char *user, bool sandbox)
{
    bool root = geteuid() == 0;
    const struct passwd *pw = user && root ? getpwnam(user) : NULL;
    int r = 0;
    if (user && root && !pw) {
        log_error("daemon", "unknown user name=%s", user);
        return -1;
    }
    if (root)
        lift_limits();
    if (pw)
        r = become(pw);
    else if (sandbox)
        r = privileges_keep(WORKER_AS_ROOT);
    if (r < 0) {
        log_error("daemon", "cannot give up privileges user=%s error=\"%s\"", user ? user : "-",
                  strerror(-r));
        return -1;
    }
    r = undertaker_start(sandbox);
    if (r < 0)
        log_debug("daemon", "no undertaker error=\"%s\"", strerror(-r));
    r = sandbox ? sandbox_enter() : 0;
    if (r < 0)
        log_error("daemon", "cannot filter system calls (sandbox) error=\"%s\"", strerror(-r));
    return r < 0 ? -1 : 0;
}
