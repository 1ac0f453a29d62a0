/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See session_share.h. Only a session that we lead ourselves, as one does that a service manager has started or
 * that is a container's first process: in any other one a shell, and whatever else it has started, would come with us.
 * Ten times a second the kernel lets somebody without CAP_SYS_ADMIN set it, on the whole machine.
 */
#include "keeper/session_share.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define FILE_NAME "/proc/self/autogroup"
#define AGAIN_NS  (10 * NS_PER_MS)

static struct {
    bool looked, can;
    int usual, wanted, now;
} share;

/* "/autogroup-N nice M", or nothing when there are no such groups. */
static bool read_nice(int *ret_nice)
{
    char text[64];
    int fd = open(FILE_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, " nice ");
    if (at == NULL)
        return false;
    *ret_nice = (int)strtol(at + strlen(" nice "), NULL, 10);
    return true;
}

static int write_nice(int nice)
{
    char text[16];
    int fd = open(FILE_NAME, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(text, sizeof(text), "%d", nice);
    int r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static void look(void)
{
    if (share.looked)
        return;
    share.looked = true;
    share.can = getsid(0) == getpid() && read_nice(&share.usual);
    share.wanted = share.now = share.usual;
}

static void set(void)
{
    int r = share.now == share.wanted ? 0 : write_nice(share.wanted);

    if (r == 0) {
        share.now = share.wanted;
    } else if (r != -EAGAIN) {
        log_debug("keeper", "the session's share of the machine stays as it is: %s",
                  g_strerror(-r));
        share.can = false;
    }
}

void session_share_hurry(bool hurry, int steps)
{
    look();
    if (!share.can)
        return;
    share.wanted = hurry ? MAX(share.usual - steps, -20) : share.usual;
    set();
}

uint64_t session_share_tick(uint64_t now_ns)
{
    if (!share.can || share.now == share.wanted)
        return UINT64_MAX;
    set();
    return !share.can || share.now == share.wanted ? UINT64_MAX : now_ns + AGAIN_NS;
}
