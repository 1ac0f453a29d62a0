/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel that says no to io_uring, as container runtimes make it: an error, not an abort. */
#include "reactor/reactor.h"

#include <errno.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From here on io_uring_setup(2) fails with `err` in this process. */
static int forbid_rings(int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = G_N_ELEMENTS(code), .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int create_and_free(void)
{
    struct reactor_options o = { .name = "test", .cpu = -1, .tombstone_fd = -1 };
    struct reactor *reactor = NULL;
    int r = reactor_create(&o, &reactor);
    if (r == 0)
        r = reactor_start(reactor);
    if (r == 0)
        reactor_stop(reactor);
    reactor_free(reactor);
    return r;
}

enum { NO_SECCOMP = 77 };

/* The exit status of a child that tried under the filter: the errno it got. */
static int try_forbidden(int err)
{
    int status;
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0)
        _exit(forbid_rings(err) < 0 ? NO_SECCOMP : -create_and_free());
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_seccomp(void)
{
    static const int errors[] = { EPERM, ENOSYS, ENOMEM };
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        int got = try_forbidden(errors[i]);
        if (got == NO_SECCOMP) {
            g_test_skip("no seccomp here");
            return;
        }
        g_assert_cmpint(got, ==, errors[i]);
    }
}

static void test_few_descriptors(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit few = { 32, 32 };
        _exit(setrlimit(RLIMIT_NOFILE, &few) < 0 ? NO_SECCOMP : -create_and_free());
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void test_words(void)
{
    static const int errors[] = { -EPERM, -ENOSYS, -EINVAL, -ENOMEM, -EMFILE, -EIO };
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        const char *text = ring_refusal_text(errors[i]);
        g_assert_nonnull(strstr(text, "io_uring"));
        g_assert_null(strchr(text, '\n'));
        g_assert_true(text == ring_refusal_text(-errors[i]));
    }
    g_assert_nonnull(strstr(ring_refusal_text(-ENOMEM), "LimitMEMLOCK"));
    g_assert_nonnull(strstr(ring_refusal_text(-EINVAL), "6.1"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/refusal/seccomp", test_seccomp);
    g_test_add_func("/reactor/refusal/few-descriptors", test_few_descriptors);
    g_test_add_func("/reactor/refusal/words", test_words);
    return g_test_run();
}
