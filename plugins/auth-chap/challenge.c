/* SPDX-License-Identifier: BSD-3-Clause */
#include "challenge.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static struct challenge *outstanding;

static int random_bytes(void *out, size_t bytes)
{
    uint8_t *at = out;
    while (bytes > 0) {
        ssize_t n = getrandom(at, bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int challenge_make(struct challenge *challenge)
{
    int r = random_bytes(challenge->bytes, CHALLENGE_BYTES);
    if (r == 0)
        r = random_bytes(&challenge->identifier, 1);
    if (r < 0)
        return r;
    challenge->next = outstanding;
    challenge->link = &outstanding;
    if (outstanding)
        outstanding->link = &challenge->next;
    outstanding = challenge;
    return 0;
}

void challenge_forget(struct challenge *challenge)
{
    if (!challenge->link)
        return;
    *challenge->link = challenge->next;
    if (challenge->next)
        challenge->next->link = challenge->link;
    challenge->link = NULL;
}

bool challenge_is_ours(const uint8_t *bytes, size_t count)
{
    if (count != CHALLENGE_BYTES)
        return false;
    for (const struct challenge *c = outstanding; c; c = c->next)
        if (memcmp(c->bytes, bytes, CHALLENGE_BYTES) == 0)
            return true;
    return false;
}
