/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Other programs. Their input and output lie in memory files: no pipe has to be served meanwhile, and
 * nothing is interpreted on the way.
 */
#include "iptables.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (32u << 20)

struct files {
    int fd[3]; /* standard input, output, error */
};

static void files_close(struct files *f)
{
    for (int i = 0; i < 3; i++)
        if (f->fd[i] >= 0)
            close(f->fd[i]);
}

static int files_open(struct files *f, const char *input)
{
    size_t bytes = input ? strlen(input) : 0;

    *f = (struct files){ { -1, -1, -1 } };
    for (int i = 0; i < 3; i++) {
        f->fd[i] = memfd_create("fence-iptables", MFD_CLOEXEC);
        if (f->fd[i] < 0)
            return -errno;
    }
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(f->fd[0], input + done, bytes - done);
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return lseek(f->fd[0], 0, SEEK_SET) < 0 ? -errno : 0;
}

static int read_back(int fd, char **ret_text)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > OUTPUT_MAX)
        return -EFBIG;
    size_t bytes = (size_t)st.st_size, done = 0;
    char *text = malloc(bytes + 1);
    if (!text)
        return -ENOMEM;
    while (done < bytes) {
        ssize_t n = pread(fd, text + done, bytes - done, (off_t)done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    text[done] = '\0';
    *ret_text = text;
    return 0;
}

static int spawn(const char *const *argv, const struct files *f, pid_t *ret_pid)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *environment[] = { path, locale, NULL };
    posix_spawn_file_actions_t actions;

    int r = posix_spawn_file_actions_init(&actions);
    for (int i = 0; r == 0 && i < 3; i++)
        r = posix_spawn_file_actions_adddup2(&actions, f->fd[i], i);
    if (r == 0)
        r = posix_spawn(ret_pid, argv[0], &actions, /* attributes= */ NULL, (char *const *)argv,
                        environment);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* Its first line that is not one of iptables' remarks. */
static int report(const char *program, int status, int errors, struct hf_error *error)
{
    char *text = NULL, line[256];
    int code = EIO;

    if (read_back(errors, &text) < 0)
        text = NULL;
    bool found = false;
    for (const char *at = text; at && !found && listing_next(&at, line, sizeof(line));)
        found = line[0] != '\0' && line[0] != '#';
    if (!found)
        snprintf(line, sizeof(line), WIFSIGNALED(status) ? "killed by signal %d" : "exit code %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (text && strstr(text, "ermission denied"))
        code = EPERM;
    free(text);
    return iptables_host->fail(error, code, "%s: %s", program, line);
}

static int run_with(const char *const *argv, const struct files *f, char **ret_output,
                    struct hf_error *error)
{
    pid_t pid;
    int status = 0;

    int r = spawn(argv, f, &pid);
    if (r < 0)
        return iptables_host->fail(error, -r, "%s: %s", argv[0], strerror(-r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return iptables_host->fail(error, errno, "%s: lost", argv[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return report(argv[0], status, f->fd[2], error);
    r = ret_output ? read_back(f->fd[1], ret_output) : 0;
    return r == 0 ? 0 : iptables_host->fail(error, -r, "%s: its output: %s", argv[0], strerror(-r));
}

int program_run(const char *const *argv, const char *input, char **ret_output,
                struct hf_error *error)
{
    struct files f;

    int r = files_open(&f, input);
    if (r < 0)
        iptables_host->fail(error, -r, "no memory file: %s", strerror(-r));
    else
        r = run_with(argv, &f, ret_output, error);
    files_close(&f);
    return r;
}
