/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long the target was silent when something happened to it. SIGUSR1 marks the moment; what is
 * measured is the longest time between two answers that overlaps the half second after it: over all
 * connections together ("any": nobody was served), and of the connection that waited longest ("each").
 * Time in which nothing had been asked for is not waited. A line a mark is printed when the next one comes,
 * or at the end.
 */
#include "load.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>

#define WINDOW_NS (NS_PER_S / 2)

static volatile sig_atomic_t marked;
static uint64_t mark, answered, worst_any, worst_each;

static void on_signal(int number)
{
    marked = 1;
}

void pause_init(void)
{
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    sigaction(SIGUSR1, &a, NULL);
}

void pause_print(void)
{
    if (mark)
        printf("pause any_ms=%.2f each_ms=%.2f\n", (double)worst_any / 1e6,
               (double)worst_each / 1e6);
    fflush(stdout);
    mark = worst_any = worst_each = 0;
}

static uint64_t longer(uint64_t worst, uint64_t answered_before, uint64_t asked)
{
    uint64_t last = answered_before > asked ? answered_before : asked;

    return answered_before && last < mark + WINDOW_NS && fig.now - last > worst ? fig.now - last
                                                                                : worst;
}

void pause_answer(struct conn *c, uint64_t asked)
{
    if (marked) {
        marked = 0;
        pause_print();
        mark = fig.now;
    }
    if (mark) {
        worst_any = longer(worst_any, answered, asked);
        worst_each = longer(worst_each, c->answered, asked);
    }
    answered = c->answered = fig.now;
}
