/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which part of the LUN comes next. Every connection has a share of its own, in slots of the block
 * size. With --verify a slot has a generation: the number of times it was written. What a slot must
 * hold follows from place and generation, two commands never meet on one slot, and at the end every
 * slot that was written is read again.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define BUSY 0x80000000u /* in generations[]: a command is under way */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)next_random(state) * limit) >> 64);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static uint64_t pattern(uint64_t slot, uint32_t generation, uint32_t word)
{
    return mix(opt.seed * 0x9e3779b97f4a7c15ull ^ (slot << 24) ^ word ^
               (uint64_t)generation << 52) +
           generation;
}

void workload_init(struct conn *c)
{
    uint64_t bytes = lun.blocks * lun.block_bytes;
    uint64_t all = (opt.range && opt.range < bytes ? opt.range : bytes) / opt.block;

    c->slots = all / opt.connections;
    c->first_slot = c->slots * c->index;
    c->random = mix(opt.seed + c->index * 7919ull) | 1;
    c->tasks = calloc(opt.depth, sizeof(*c->tasks));
    c->idle = calloc(opt.depth, sizeof(*c->idle));
    if (opt.verify)
        c->generations = calloc(c->slots, sizeof(*c->generations));
    if (!c->tasks || !c->idle || (opt.verify && !c->generations))
        abort();
    for (unsigned i = 0; i < opt.depth; i++) {
        c->idle[c->idle_tasks++] = (uint16_t)(opt.depth - 1 - i);
        if (opt.verify && !(c->tasks[i].buffer = malloc(opt.block)))
            abort();
    }
}

static uint64_t pick(struct conn *c)
{
    if (!opt.sequential)
        return below(&c->random, c->slots);
    c->next_slot = c->next_slot + 1 < c->slots ? c->next_slot + 1 : 0;
    return c->next_slot;
}

/* Every written slot once: --verify at its end; with --fill, every slot. */
static bool pick_in_order(struct conn *c, uint64_t *ret_slot)
{
    while (c->generations && c->check_slot < c->slots && !c->generations[c->check_slot])
        c->check_slot++;
    if (c->check_slot == c->slots)
        return false;
    c->checked++;
    *ret_slot = c->check_slot++;
    return true;
}

bool workload_next(struct conn *c, struct task *t)
{
    uint64_t slot;

    if (fig.checking || opt.fill) {
        if (!pick_in_order(c, &slot))
            return false;
    } else {
        slot = pick(c);
        while (opt.verify && c->generations[slot] & BUSY)
            slot = pick(c);
    }
    t->slot = c->first_slot + slot;
    t->lba = t->slot * (opt.block / lun.block_bytes);
    t->write = !fig.checking && opt.read_percent < 100 &&
               (opt.read_percent == 0 || below(&c->random, 100) >= opt.read_percent);
    if (!opt.verify)
        return true;
    t->generation = c->generations[slot] + (t->write ? 1 : 0);
    c->generations[slot] |= BUSY;
    if (t->write)
        for (uint32_t i = 0; i < opt.block / 8; i++) {
            uint64_t word = pattern(t->slot, t->generation, i);
            memcpy(t->buffer + i * 8, &word, 8);
        }
    return true;
}

bool workload_done(struct conn *c, struct task *t)
{
    if (!opt.verify)
        return true;
    c->generations[t->slot - c->first_slot] = t->generation;
    if (t->write || !t->generation)
        return true;
    for (uint32_t i = 0; i < opt.block / 8; i++) {
        uint64_t word = pattern(t->slot, t->generation, i);

        if (memcmp(t->buffer + i * 8, &word, 8)) {
            fig.errors++;
            return fail(c, "LBA %llu byte %u: not what was written (generation %u)",
                        (unsigned long long)t->lba, i * 8, t->generation);
        }
    }
    return true;
}
