/* SPDX-License-Identifier: BSD-3-Clause */
/* See file.h. */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "config/yaml.h"

int config_file_read_fd(int fd, char **ret_text, size_t *ret_length)
{
    char part[64 * 1024];
    GString *text = g_string_new(NULL);

    while (text->len <= CONFIG_TEXT_MAX) {
        ssize_t n = read(fd, part, MIN(sizeof(part), CONFIG_TEXT_MAX + 1 - text->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int r = -errno;
            g_string_free(text, TRUE);
            return r;
        }
        if (n == 0)
            break;
        g_string_append_len(text, part, n);
    }
    *ret_length = text->len;
    *ret_text = g_string_free(text, FALSE);
    return 0;
}

int config_file_read(const char *path, char **ret_text, size_t *ret_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int r = config_file_read_fd(fd, ret_text, ret_length);
    close(fd);
    return r;
}
