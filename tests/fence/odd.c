/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fence plugin "odd", for tests: raise() hangs with a child of its own that hangs as well, fails, or
 * tells what the process that runs it may do. `note` is a file to write that to.
 */
#include <holdfast/fence.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MODE_HANG, MODE_FAIL, MODE_TELL };

struct config {
    uint32_t mode;
    uint32_t reserved;
    const char *note;
};

static const struct hf_host *host;
static const char *const modes[] = { "hang", "fail", "tell", NULL };

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_CHOICE,
      .name = "mode",
      .help = "what raise() does",
      .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, mode),
      .choices = modes },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_PATH,
      .name = "note",
      .help = "file to write to",
      .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, note) },
    { .size = 0 },
};

static void copy(const char *from, const char *to, int flags)
{
    char text[4096];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, flags | O_WRONLY | O_CREAT, 0600);
    ssize_t n = read(in, text, sizeof(text));
    if (n > 0 && write(out, text, (size_t)n) != n)
        host->log(host, HF_LOG_ERROR, "cannot write %s", to);
    close(in);
    close(out);
}

static int32_t odd_open(const void *config, const char *instance, void **ret_handle,
                        struct hf_error *error)
{
    (void)instance, (void)error;
    *ret_handle = (void *)config;
    return 0;
}

static void hang(const struct config *c)
{
    char pids[64];
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    snprintf(pids, sizeof(pids), "%d %d\n", getpid(), child);
    int fd = open(c->note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (write(fd, pids, strlen(pids)) < 0)
        host->log(host, HF_LOG_ERROR, "cannot write %s", c->note);
    for (;;)
        pause();
}

/* Of this process, and of a program it starts. */
static void tell(const struct config *c)
{
    copy("/proc/self/status", c->note, O_TRUNC);
    pid_t child = fork();
    if (child == 0) {
        dup2(open(c->note, O_WRONLY | O_APPEND | O_CLOEXEC), STDOUT_FILENO);
        execl("/bin/cat", "cat", "/proc/self/status", (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
}

static int32_t odd_raise(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                         uint64_t max_age_ns, struct hf_error *error)
{
    const struct config *c = handle;
    (void)portals, (void)count, (void)max_age_ns;
    if (c->mode == MODE_HANG)
        hang(c);
    if (c->mode == MODE_TELL)
        tell(c);
    return host->fail(error, EPERM, "odd on purpose");
}

static int32_t odd_lower(void *handle, struct hf_error *error)
{
    (void)handle, (void)error;
    return 0;
}

static void odd_close(void *handle)
{
    (void)handle;
}

static int32_t odd_load(const struct hf_host *the_host, struct hf_error *error)
{
    (void)error;
    host = the_host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_fence_ops ops = {
        .size = sizeof(struct hf_fence_ops),
        .open = odd_open,
        .raise = odd_raise,
        .lower = odd_lower,
        .close = odd_close,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(struct hf_plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_FENCE,
        .name = "odd",
        .version = "0",
        .summary = "for tests",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = odd_load,
    };
    return &plugin;
}
