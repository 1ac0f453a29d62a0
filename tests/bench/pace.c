/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --rate: commands leave by the clock, on one connection after the other, and not because others were
 * answered: a load that leaves the machine some room. What finds no connection with room for a command is left out:
 * after a pause the load is no higher than what all of them can have under way.
 */
#include "load.h"

#include "base/clock.h"

#define WAIT_MS 1

static struct conn *all;
static unsigned next;
static uint64_t last;
static double due; /* commands */

void pace_begin(struct conn *conns)
{
    all = conns;
    last = clock_now_ns();
}

int pace_wait_ms(void)
{
    return fig.checking ? 1000 : WAIT_MS;
}

/* NULL: none has room. */
static struct conn *issue_one(void)
{
    for (unsigned i = 0; i < opt.connections; i++) {
        struct conn *c = &all[next];

        next = next + 1 < opt.connections ? next + 1 : 0;
        if (session_issue_one(c))
            return c;
    }
    return NULL;
}

bool pace_turn(void)
{
    if (!opt.rate || !fig.running || fig.checking)
        return true;
    due += (double)(fig.now - last) * opt.rate / (double)NS_PER_S;
    last = fig.now;
    while (due >= 1) {
        struct conn *c = issue_one();

        due = c ? due - 1 : 0;
        if (c && !load_flush(c))
            return false;
    }
    return true;
}
