/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which rule meets an I/O. The first rule that does decides; each counts what it means (operation and
 * range) on its own. Chance comes from a generator with a seed, so that a run can be repeated.
 */
#include "fault.h"

#include <errno.h>
#include <string.h>

const char *const fault_errors[] = { "EIO",    "none",  "ENOSPC",    "EROFS", "EREMOTEIO",
                                     "EAGAIN", "EBUSY", "ETIMEDOUT", NULL };
static const int32_t codes[] = { EIO, 0, ENOSPC, EROFS, EREMOTEIO, EAGAIN, EBUSY, ETIMEDOUT };

void rules_set(struct rules *rules, const struct config *config)
{
    pthread_mutex_lock(&rules->lock);
    rules->count = config->rules.count < RULES_MAX ? config->rules.count : RULES_MAX;
    if (rules->count)
        memcpy(rules->rows, config->rules.items, rules->count * sizeof(struct rule));
    memset(rules->seen, 0, sizeof(rules->seen));
    memset(rules->met, 0, sizeof(rules->met));
    rules->random = config->seed * 0x9e3779b97f4a7c15ull + 1;
    rules->version++;
    pthread_mutex_unlock(&rules->lock);
}

/* xorshift64*: the upper half, as a number below a million. */
static uint64_t dice(struct rules *rules)
{
    rules->random ^= rules->random >> 12;
    rules->random ^= rules->random << 25;
    rules->random ^= rules->random >> 27;
    return (rules->random * 0x2545f4914f6cdd1dull >> 32) % 1000000;
}

static int is_meant(const struct rule *rule, const struct hf_io *io)
{
    static const uint32_t ops[] = { 0,           HF_OP_READ,  HF_OP_WRITE,
                                    HF_OP_FLUSH, HF_OP_UNMAP, HF_OP_WRITE_ZEROES };
    if (rule->op == OP_ANY ? io->op == HF_OP_BLOCK_STATUS : ops[rule->op] != io->op)
        return 0;
    if (io->op == HF_OP_FLUSH)
        return 1; /* it has no range */
    return io->offset + io->length > rule->from && (!rule->to || io->offset < rule->to);
}

static int meets(struct rules *rules, uint32_t i)
{
    const struct rule *rule = &rules->rows[i];
    uint64_t number = ++rules->seen[i];
    if (number <= rule->after || (rule->times && rules->met[i] >= rule->times))
        return 0;
    if ((number - rule->after) % rule->every != 0 || dice(rules) >= rule->chance)
        return 0;
    rules->met[i]++;
    return 1;
}

struct verdict rules_judge(struct rules *rules, const struct hf_io *io)
{
    struct verdict verdict = { NOTHING, 0, 0 };
    pthread_mutex_lock(&rules->lock);
    for (uint32_t i = 0; i < rules->count && verdict.action == NOTHING; i++)
        if (is_meant(&rules->rows[i], io) && meets(rules, i)) {
            const struct rule *rule = &rules->rows[i];
            verdict = (struct verdict){ rule->action, -codes[rule->error], rule->delay_ns };
        }
    pthread_mutex_unlock(&rules->lock);
    return verdict;
}
