/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What became of copies, by nexus and list identifier, and RECEIVE COPY RESULTS (SPC-4 6.18 to 6.20).
 * The places are in the unit's kept memory; a new copy takes a free one, or the one of the copy that
 * ended first. A place changes hands by one compare and exchange of its word.
 */
#include <string.h>

#include "base/bytes.h"
#include "scsi/copy.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

_Static_assert(SCSI_SENSE_MAX <= sizeof(((struct copy_status *)0)->sense), "sense data fits");

static uint64_t word_of(uint32_t nexus, uint8_t id, enum copy_state state)
{
    return (uint64_t)nexus << 32 | (uint64_t)id << 8 | (uint64_t)state;
}

static enum copy_state state_of(uint64_t word)
{
    return (enum copy_state)(word & 0xff);
}

static bool is_of(uint64_t word, uint32_t nexus, uint8_t id)
{
    return state_of(word) != COPY_NONE && word >> 8 == word_of(nexus, id, 0) >> 8;
}

void copy_statuses_resume(struct copy_statuses *statuses)
{
    for (unsigned i = 0; i < COPY_STATUSES; i++) {
        struct copy_status *s = &statuses->at[i];
        uint64_t word = atomic_load(&s->word);
        if (state_of(word) != COPY_RUNS)
            continue;
        s->status = SCSI_TASK_ABORTED;
        s->sense_bytes = 0;
        atomic_store(&s->word, (word & ~0xffull) | COPY_FAILED);
    }
}

unsigned copy_statuses_running(const struct scsi_unit *unit,
                               struct copy_progress ret_running[static COPY_STATUSES])
{
    unsigned n = 0;

    for (unsigned i = 0; i < COPY_STATUSES && atomic_load(&unit->home.keep.data->copied); i++) {
        struct copy_status *s = &unit->home.keep.rare->copies.at[i];
        uint64_t word = atomic_load(&s->word);
        if (state_of(word) == COPY_RUNS)
            ret_running[n++] = (struct copy_progress){ .id = (uint8_t)(word >> 8),
                                                       .segments = atomic_load(&s->segments),
                                                       .bytes = atomic_load(&s->bytes) };
    }
    return n;
}

static struct copy_status *find(struct copy_statuses *statuses, uint32_t nexus, uint8_t id)
{
    for (unsigned i = 0; i < COPY_STATUSES; i++) {
        if (is_of(atomic_load(&statuses->at[i].word), nexus, id))
            return &statuses->at[i];
    }
    return NULL;
}

/* A free place, or that of the copy that has ended longest ago; NULL: all are at work. */
static struct copy_status *oldest(struct copy_statuses *statuses)
{
    struct copy_status *best = NULL;

    for (unsigned i = 0; i < COPY_STATUSES; i++) {
        struct copy_status *s = &statuses->at[i];
        enum copy_state state = state_of(atomic_load(&s->word));
        if (state == COPY_NONE)
            return s;
        if (state != COPY_RUNS &&
            (!best || (int32_t)(atomic_load(&s->ended) - atomic_load(&best->ended)) < 0))
            best = s;
    }
    return best;
}

struct copy_status *copy_status_begin(struct scsi_unit *unit, uint32_t nexus, uint8_t id,
                                      bool resumed, bool *ret_runs)
{
    struct copy_statuses *statuses = &unit->home.keep.rare->copies;

    atomic_store(&unit->home.keep.data->copied, 1);
    *ret_runs = false;
    for (;;) {
        struct copy_status *s = find(statuses, nexus, id);
        if (!s)
            s = oldest(statuses);
        if (!s)
            return NULL;
        uint64_t before = atomic_load(&s->word);
        bool own = is_of(before, nexus, id);
        if (state_of(before) == COPY_RUNS) {
            *ret_runs = own;
            if (own)
                return NULL;
            continue; /* somebody was quicker */
        }
        if (!atomic_compare_exchange_strong(&s->word, &before, word_of(nexus, id, COPY_RUNS)))
            continue;
        if (!own || !resumed)
            copy_status_report(s, 0, 0);
        return s;
    }
}

void copy_status_report(struct copy_status *status, unsigned segments, uint64_t bytes)
{
    if (!status)
        return;
    atomic_store_explicit(&status->segments, segments, memory_order_relaxed);
    atomic_store_explicit(&status->bytes, bytes, memory_order_relaxed);
}

void copy_status_end(struct scsi_unit *unit, struct copy_status *status,
                     const struct scsi_command *cmd)
{
    struct copy_statuses *statuses = &unit->home.keep.rare->copies;
    bool good = cmd->status == SCSI_GOOD && !cmd->aborted;

    if (!status)
        return;
    status->status = cmd->aborted ? SCSI_TASK_ABORTED : cmd->status;
    status->sense_bytes = cmd->aborted ? 0 : cmd->sense_bytes;
    memcpy(status->sense, cmd->sense, status->sense_bytes);
    atomic_store(&status->ended, atomic_fetch_add(&statuses->ended, 1));
    uint64_t word = atomic_load(&status->word);
    atomic_store(&status->word, (word & ~0xffull) | (good ? COPY_DONE : COPY_FAILED));
}

/* ---- RECEIVE COPY RESULTS ---- */

static struct copy_status *asked_for(struct scsi_command *cmd, uint64_t *ret_word)
{
    struct scsi_keep *keep = &cmd->unit->home.keep;
    struct copy_status *s = NULL;

    if (atomic_load(&keep->data->copied))
        s = find(&keep->rare->copies, cmd->nexus->id, cmd->cdb[2]);
    *ret_word = s ? atomic_load(&s->word) : 0;
    if (s && is_of(*ret_word, cmd->nexus->id, cmd->cdb[2]))
        return s;
    scsi_bad_cdb(cmd, 2, -1);
    return NULL;
}

int reply_copy_status(struct scsi_command *cmd, uint8_t *data)
{
    static const uint8_t codes[] = { [COPY_RUNS] = 0x00, [COPY_DONE] = 0x01, [COPY_FAILED] = 0x02 };
    uint64_t word, bytes;
    const struct copy_status *s = asked_for(cmd, &word);

    if (!s)
        return -1;
    memset(data, 0, 12);
    put_be32(data, 8);
    data[4] = codes[state_of(word)];
    put_be16(data + 5, (uint16_t)atomic_load(&s->segments));
    bytes = atomic_load(&s->bytes);
    if (bytes <= UINT32_MAX) {
        put_be32(data + 8, (uint32_t)bytes);
    } else {
        data[7] = 0x02; /* in MiB */
        put_be32(data + 8, (uint32_t)(bytes >> 20));
    }
    return 12;
}

int reply_copy_failed_details(struct scsi_command *cmd, uint8_t *data)
{
    uint64_t word;
    const struct copy_status *s = asked_for(cmd, &word);

    if (!s)
        return -1;
    if (state_of(word) != COPY_FAILED) { /* there is nothing to tell */
        put_be32(data, 0);
        return 4;
    }
    uint32_t bytes = s->sense_bytes <= SCSI_SENSE_MAX ? s->sense_bytes : 0;
    memset(data, 0, 60);
    put_be32(data, 56 + bytes);
    data[56] = s->status;
    put_be16(data + 58, (uint16_t)bytes);
    memcpy(data + 60, s->sense, bytes);
    return (int)(60 + bytes);
}

int reply_copy_parameters(struct scsi_command *cmd, uint8_t *data)
{
    static const uint8_t descriptors[] = { 0x02, 0x0a, 0xe4 };

    memset(data, 0, 44);
    put_be32(data, 44 + sizeof(descriptors) - 4);
    data[4] = 0x01; /* SNLID: LIST ID USAGE 11b is there */
    put_be16(data + 8, COPY_CSCDS_MAX);
    put_be16(data + 10, COPY_SEGMENTS_MAX);
    put_be32(data + 12, COPY_DESCRIPTORS_MAX);
    put_be32(data + 16, COPY_SEGMENT_BYTES_MAX);
    put_be16(data + 34, COPY_STATUSES); /* total concurrent copies */
    data[36] = COPY_STATUSES;           /* maximum concurrent copies */
    data[37] = 9;                       /* data segment granularity: 512 bytes */
    data[43] = sizeof(descriptors);
    memcpy(data + 44, descriptors, sizeof(descriptors));
    return 44 + sizeof(descriptors);
}
