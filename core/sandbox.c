/* SPDX-License-Identifier: BSD-3-Clause */
/* See sandbox.h. */
#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>

/* By name: what this kernel's headers, or this machine, do not have is left out. */
static const char *const allowed[] = {
    /* rings */
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    /* files and devices of handlers, the state directory, the configuration, plugins */
    "open", "openat", "openat2", "close", "close_range", "read", "write", "readv", "writev",
    "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "_llseek", "fsync",
    "fdatasync", "sync_file_range", "fallocate", "ftruncate", "truncate", "copy_file_range",
    "sendfile", "splice", "fadvise64", "readahead", "stat", "lstat", "fstat", "stat64", "lstat64",
    "fstat64", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs", "statfs64", "fstatfs64",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
    "getcwd", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
    "link", "linkat", "chmod", "fchmod", "fchmodat", "umask", "flock", "utimensat", "fgetxattr",
    "getxattr", "dup", "dup2", "dup3", "fcntl", "fcntl64", "ioctl", "pipe", "pipe2", "memfd_create",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "getrandom", "uname", "sysinfo",
    /* memory */
    "brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock",
    "mlock2", "munlock", "membarrier", "pkey_mprotect",
    /* sockets: initiators, the keeper, the control socket, metrics; storage elsewhere */
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "sendto",
    "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "getsockopt", "setsockopt",
    "getsockname", "getpeername", "socketcall",
    /* waiting and time */
    "poll", "ppoll", "select", "_newselect", "pselect6", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "signalfd4", "nanosleep", "clock_nanosleep",
    "clock_gettime", "clock_getres", "clock_gettime64", "gettimeofday", "time", "times",
    "getitimer", "setitimer",
    /* threads and signals */
    "futex", "futex_waitv", "futex_time64", "set_robust_list", "get_robust_list", "rseq",
    "set_tid_address", "gettid", "getpid", "getppid", "tgkill", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack", "restart_syscall",
    "sched_yield", "sched_setaffinity", "sched_getaffinity", "sched_getscheduler", "sched_getparam",
    "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min", "getcpu",
    "getpriority", "setpriority", "arch_prctl", "exit", "exit_group",
    /* who and how much */
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp",
    "getpgid", "getsid", "getrlimit", "ugetrlimit", "prlimit64", "setrlimit", "getrusage", "capget",
    "prctl"
};

/* Nothing of ours ever tries. */
static const char *const deadly[] = { "execve",
                                      "execveat",
                                      "ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "pidfd_getfd",
                                      "setns",
                                      "unshare",
                                      "mount",
                                      "umount2",
                                      "move_mount",
                                      "open_tree",
                                      "fsopen",
                                      "fsmount",
                                      "pivot_root",
                                      "chroot",
                                      "init_module",
                                      "finit_module",
                                      "delete_module",
                                      "kexec_load",
                                      "kexec_file_load",
                                      "bpf",
                                      "userfaultfd",
                                      "perf_event_open",
                                      "keyctl",
                                      "add_key",
                                      "request_key",
                                      "open_by_handle_at",
                                      "reboot",
                                      "swapon",
                                      "swapoff",
                                      "iopl",
                                      "ioperm",
                                      "setuid",
                                      "setreuid",
                                      "setresuid",
                                      "setgid",
                                      "setregid",
                                      "setresgid",
                                      "setgroups",
                                      "capset",
                                      "settimeofday",
                                      "clock_settime",
                                      "sethostname",
                                      "quotactl",
                                      "acct",
                                      "personality" };

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR)
            continue;
        int r = seccomp_rule_add(filter, action, number, 0);
        if (r < 0 && r != -EDOM) /* not on this architecture */
            return r;
    }
    return 0;
}

/*
 * Threads, but no processes: clone(2) with CLONE_THREAD, anything else fails. clone3(2) has its flags in
 * memory, where a filter cannot look: the C library does without.
 */
static int add_conditions(scmp_filter_ctx filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    return r;
}

static int load(scmp_filter_ctx filter)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE,
                             2); /* a tree: it is passed at every call */
    if (r == 0)
        r = add_all(filter, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
    if (r == 0)
        r = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(deadly[0]));
    if (r == 0)
        r = add_conditions(filter);
    return r == 0 ? seccomp_load(filter) : r;
}

int sandbox_enter(void)
{
    if (SANDBOX_SANITIZER)
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return -ENOMEM;
    int r = load(filter);
    seccomp_release(filter);
    return r;
}
