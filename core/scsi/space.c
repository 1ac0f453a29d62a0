/* SPDX-License-Identifier: BSD-3-Clause */
/* See space.h. Everything is compared in threshold sets, as initiators see it. */
#include "scsi/space.h"

#include "base/hash.h"
#include "scsi/block_limits.h"
#include "scsi/sense.h"

/* A word of a threshold: a percentage, or this and threshold sets. */
#define AVAILABLE (1ull << 63)

/* A word of the kept memory: which thresholds are reached, and of which thresholds that is told. */
#define REACHED_MASK ((1u << SCSI_THRESHOLDS_MAX) - 1)

static unsigned set_shift(const struct scsi_unit *unit)
{
    return scsi_threshold_exponent(unit) + unit->block_shift;
}

static uint32_t limited(uint64_t sets)
{
    return sets > UINT32_MAX ? UINT32_MAX : (uint32_t)sets;
}

/* Used: a set that is begun counts. */
static uint32_t sets_up(const struct scsi_unit *unit, uint64_t bytes)
{
    return limited((bytes >> set_shift(unit)) + ((bytes & ((1ull << set_shift(unit)) - 1)) != 0));
}

bool scsi_threshold_at(const struct scsi_unit *unit, unsigned index,
                       struct scsi_threshold_sets *ret_threshold)
{
    uint64_t word = atomic_load_explicit(&unit->fill.thresholds[index], memory_order_relaxed);

    if (word & AVAILABLE) {
        *ret_threshold = (struct scsi_threshold_sets){ .count = (uint32_t)word };
    } else if (word) {
        uint64_t all = sets_up(unit, atomic_load(&unit->blocks) << unit->block_shift);
        *ret_threshold =
            (struct scsi_threshold_sets){ .used = true, .count = limited((all * word + 99) / 100) };
    }
    return word != 0;
}

void scsi_space_init(struct scsi_unit *unit)
{
    atomic_init(&unit->fill.used, SCSI_SPACE_UNKNOWN);
    atomic_init(&unit->fill.available, SCSI_SPACE_UNKNOWN);
}

void scsi_unit_set_thresholds(struct scsi_unit *unit, const struct scsi_threshold *thresholds,
                              unsigned count)
{
    uint64_t words[SCSI_THRESHOLDS_MAX] = { 0 };
    _Atomic uint32_t *kept = &unit->home.keep.data->thresholds;

    for (unsigned i = 0; i < count && i < SCSI_THRESHOLDS_MAX; i++) {
        words[i] = thresholds[i].used_percent
                       ? thresholds[i].used_percent
                       : AVAILABLE | limited(thresholds[i].available_bytes >> set_shift(unit));
        atomic_store_explicit(&unit->fill.thresholds[i], words[i], memory_order_relaxed);
    }
    for (unsigned i = count; i < SCSI_THRESHOLDS_MAX; i++)
        atomic_store_explicit(&unit->fill.thresholds[i], 0, memory_order_relaxed);
    uint32_t name = (uint32_t)hash_bytes(0x5f1e1d, words, sizeof(words)) & ~REACHED_MASK;
    if ((atomic_load(kept) & ~REACHED_MASK) != name)
        atomic_store(kept, name);
}

/* 1: reached, -1: left behind, 0: neither. */
static int judge(const struct scsi_threshold_sets *threshold, uint32_t used, uint32_t available)
{
    uint64_t margin = threshold->count / 20 ? threshold->count / 20 : 1;

    if (threshold->used)
        return used >= threshold->count ? 1 : used + margin <= threshold->count ? -1 : 0;
    return available <= threshold->count ? 1 : available >= threshold->count + margin ? -1 : 0;
}

struct scsi_space_news scsi_unit_set_space(struct scsi_unit *unit, const struct scsi_space *space)
{
    _Atomic uint32_t *kept = &unit->home.keep.data->thresholds;
    uint32_t before = atomic_load(kept), after = before;
    uint32_t used = sets_up(unit, space->used_bytes);
    uint32_t available = limited(space->available_bytes >> set_shift(unit));

    atomic_store_explicit(&unit->fill.used, space->used_bytes, memory_order_relaxed);
    atomic_store_explicit(&unit->fill.available, space->available_bytes, memory_order_relaxed);
    atomic_store_explicit(&unit->fill.shared, space->shared, memory_order_relaxed);
    for (unsigned i = 0; i < SCSI_THRESHOLDS_MAX; i++) {
        struct scsi_threshold_sets threshold;
        if (!scsi_threshold_at(unit, i, &threshold))
            continue;
        if ((threshold.used ? space->used_bytes : space->available_bytes) == SCSI_SPACE_UNKNOWN)
            continue;
        int verdict = judge(&threshold, used, available);
        if (verdict > 0)
            after |= 1u << i;
        else if (verdict < 0)
            after &= ~(1u << i);
    }
    struct scsi_space_news news = { .reached = after & ~before, .left = before & ~after };
    /* Raised before it is kept: a worker that dies in between says it twice rather than never. */
    if (news.reached)
        scsi_unit_attention(unit, NULL, ASC_SOFT_THRESHOLD_REACHED >> 8,
                            ASC_SOFT_THRESHOLD_REACHED & 0xff);
    atomic_store(kept, after);
    return news;
}

uint32_t scsi_unit_thresholds_reached(const struct scsi_unit *unit)
{
    return atomic_load(&unit->home.keep.data->thresholds) & REACHED_MASK;
}
