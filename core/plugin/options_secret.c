/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets from files. The text of neither file nor name's value reaches a message but the path. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "config/scalar.h"
#include "plugin/options_private.h"

int options_take_secret(struct plugin_config *config, const void *data, size_t bytes,
                        struct hf_secret *ret_secret)
{
    uint8_t *copy = options_alloc(config, bytes + 1);
    memcpy(copy, data, bytes);
    *ret_secret = (struct hf_secret){ .data = copy, .bytes = (uint32_t)bytes };
    return 0;
}

/* NULL: it may be read as a secret. */
static const char *refuse(int fd, int *ret_error)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        *ret_error = errno;
        return strerror(*ret_error);
    }
    *ret_error = EPERM;
    if (!S_ISREG(st.st_mode))
        return "is not a regular file";
    if (st.st_mode & (S_IROTH | S_IWOTH))
        return "everybody may read or change it (chmod o= it)";
    return NULL;
}

static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(fd, buffer + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static int fail(struct config_problems *problems, const struct config_node *node, const char *key,
                int error, const char *why)
{
    config_problem_error(problems, node, "%s: %s: %s", key, node->text, why);
    return -error;
}

int options_read_secret_file(struct plugin_config *config, const struct config_node *node,
                             const char *key, struct hf_secret *ret_secret,
                             struct config_problems *problems)
{
    char buffer[OPTIONS_SECRET_MAX + 2]; /* a newline, and one more to see that it is too long */
    const char *path;
    int r = config_read_path(node, key, &path, problems), error;
    if (r < 0)
        return r;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail(problems, node, key, errno, strerror(errno));
    const char *why = refuse(fd, &error);
    ssize_t n = why ? 0 : read_all(fd, buffer, sizeof(buffer));
    close(fd);
    if (why)
        return fail(problems, node, key, error, why);
    if (n < 0)
        return fail(problems, node, key, (int)-n, strerror((int)-n));
    if (n > 0 && buffer[n - 1] == '\n')
        n--;
    if (n == 0)
        r = fail(problems, node, key, EINVAL, "is empty");
    else if (n > (ssize_t)OPTIONS_SECRET_MAX)
        r = fail(problems, node, key, EFBIG, "is longer than 4096 bytes");
    else
        r = options_take_secret(config, buffer, (size_t)n, ret_secret);
    secret_wipe(buffer, sizeof(buffer));
    return r;
}
