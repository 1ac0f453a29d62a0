/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an administrator asks of the keeper: the fence by hand, an upgrade. The question comes over the
 * worker's control socket and the link; the worker has checked who asks. It is answered at once with how
 * things are then: the worker asks again until what was wanted has happened.
 */
#include "keeper/fence.h"
#include "keeper/state.h"

#include "base/clock.h"

#include <errno.h>
#include <glib.h>

static void copy_word(char *to, const char *from)
{
    g_strlcpy(to, from != NULL ? from : "", LINK_WORD_MAX);
}

static uint64_t since(uint64_t then_ns, uint64_t now)
{
    return then_ns != 0 && now > then_ns ? now - then_ns : 0;
}

static void answer_fence(struct keeper *k, const struct link_ask *ask)
{
    struct link_message m = { .type = LINK_FENCE, .fd = -1 };
    struct link_fence *a = &m.fence;
    struct fence_status s;

    a->id = ask->id;
    if (ask->what == LINK_FENCE_RAISE)
        a->error = fence_raise_by_hand(k);
    else if (ask->what == LINK_FENCE_LOWER)
        a->error = fence_lower_by_hand(k);
    fence_get_status(k, &s);
    uint64_t now = clock_now_ns();
    a->configured = s.configured;
    a->up = s.up;
    a->wanted = s.wanted;
    a->busy = s.busy;
    a->up_ns = since(s.up_since_ns, now);
    a->left_ns = s.up && s.expires_ns > now ? s.expires_ns - now : 0;
    a->up_total_ns = s.up_total_ns;
    a->raised = s.raised;
    a->renewed = s.renewed;
    a->lowered = s.lowered;
    a->failed = s.failed;
    a->timeouts = s.timeouts;
    copy_word(a->plugin, s.plugin);
    copy_word(a->reason, s.reason);
    copy_word(a->last_error, s.last_error);
    supervise_tell(k, &m);
}

static void answer_upgrade(struct keeper *k, const struct link_ask *ask)
{
    struct link_message m = { .type = LINK_UPGRADE, .fd = -1 };
    const char *why = NULL;

    if (ask->what == LINK_UPGRADE_BEGIN)
        why = upgrade_begin(k, ask->path[0] != 0 ? ask->path : NULL, ask->worker_only);
    m.upgrade = k->report;
    m.upgrade.id = ask->id;
    if (why != NULL) { /* this one, not the one that is in the report */
        m.upgrade = (struct link_upgrade){ .id = ask->id, .state = LINK_UPGRADE_FAILED };
        g_strlcpy(m.upgrade.why, why, sizeof(m.upgrade.why));
    }
    supervise_tell(k, &m);
}

void ask_answer(struct keeper *k, const struct link_ask *ask)
{
    switch (ask->what) {
    case LINK_UPGRADE_SHOW:
    case LINK_UPGRADE_BEGIN:
        answer_upgrade(k, ask);
        break;
    default: /* the fence; what we do not know changes nothing and shows it */
        answer_fence(k, ask);
        break;
    }
}
