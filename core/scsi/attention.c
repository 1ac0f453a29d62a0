/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unit attentions (SAM-5 5.14). A unit's events go into a ring of 64 slots that anybody may write:
 * a writer takes a number from `head`, then stores the whole event in one word. A nexus remembers
 * which number it reads next. It skips its own events, reports a reset before anything else (which
 * makes the older events pointless), and reports equal events in a row once.
 * A nexus that is more than 64 events behind has lost the oldest.
 *
 * What only concerns one nexus (power on, nexus loss, a new LUN map) is a flag there.
 */
#include "base/crash_point.h"
#include "scsi/nexus_internal.h"
#include "scsi/sense.h"

struct event {
    uint16_t asc; /* 0: whoever took the number died before the event was there */
    uint32_t origin;
};

static void write_event(struct scsi_ua_ring *ring, uint32_t number, uint16_t asc, uint32_t origin)
{
    uint64_t word = (uint64_t)(uint16_t)number << 48 | (uint64_t)asc << 32 | origin;

    atomic_store_explicit(&ring->slot[number % SCSI_UA_SLOTS], word, memory_order_release);
}

void scsi_unit_attention(struct scsi_unit *unit, const struct scsi_nexus *origin, uint8_t asc,
                         uint8_t ascq)
{
    struct scsi_ua_ring *ring = unit->attentions;
    uint32_t number = atomic_fetch_add_explicit(&ring->head, 1, memory_order_acq_rel);

    crash_point("attention");
    write_event(ring, number, (uint16_t)(asc << 8 | ascq), origin ? origin->id : 0);
    crash_point("raised");
}

enum found { FOUND, LOST, UNWRITTEN };

static enum found read_event(const struct scsi_ua_ring *ring, uint32_t number,
                             struct event *ret_event)
{
    uint64_t word = atomic_load_explicit(&ring->slot[number % SCSI_UA_SLOTS], memory_order_acquire);
    int16_t ahead = (int16_t)((uint16_t)(word >> 48) - (uint16_t)number);

    if (ahead == 0) {
        ret_event->asc = (uint16_t)(word >> 32);
        ret_event->origin = (uint32_t)word;
        return FOUND;
    }
    return ahead > 0 ? LOST : UNWRITTEN;
}

void scsi_attentions_resume(struct scsi_ua_ring *ring)
{
    uint32_t head = atomic_load(&ring->head);
    struct event event;

    for (uint32_t n = head - SCSI_UA_SLOTS; n != head; n++) {
        if (read_event(ring, n, &event) == UNWRITTEN)
            write_event(ring, n, 0, 0);
    }
}

uint32_t scsi_attentions_head(const struct scsi_unit *unit)
{
    return atomic_load_explicit(&unit->attentions->head, memory_order_acquire);
}

bool scsi_attention_raised(const struct scsi_unit *unit, uint32_t since, uint16_t asc,
                           uint32_t origin)
{
    uint32_t head = scsi_attentions_head(unit);
    struct event event;

    if (head - since > SCSI_UA_SLOTS)
        since = head - SCSI_UA_SLOTS;
    for (uint32_t n = since; n != head; n++) {
        if (read_event(unit->attentions, n, &event) == FOUND && event.asc == asc &&
            event.origin == origin)
            return true;
    }
    return false;
}

static bool is_reset(uint16_t asc)
{
    return asc >> 8 == 0x29;
}

/* The event to report next and the number after it; false: none, *ret_next is how far to skip. */
static bool next_event(const struct scsi_nexus *nexus, const struct scsi_ua_ring *ring,
                       uint32_t from, uint32_t head, uint16_t *ret_asc, uint32_t *ret_next)
{
    struct event event;
    bool found = false, adjacent = false; /* adjacent: only equal events since the one found */

    for (uint32_t n = from; n != head; n++) {
        enum found r = read_event(ring, n, &event);
        if (r == UNWRITTEN) { /* its writer is between the two stores: look again next time */
            if (!found)
                *ret_next = n;
            return found;
        }
        if (r == LOST || event.asc == 0 || event.origin == nexus->id)
            continue;
        if (!found || is_reset(event.asc)) {
            *ret_asc = event.asc;
            *ret_next = n + 1;
            found = adjacent = true;
        } else if (adjacent && event.asc == *ret_asc) {
            *ret_next = n + 1;
        } else {
            adjacent = false;
        }
    }
    if (!found)
        *ret_next = head;
    return found;
}

struct scsi_nexus_unit *scsi_nexus_state(struct scsi_nexus *nexus, const struct scsi_unit *unit)
{
    for (unsigned i = 0; i < nexus->unit_count; i++) {
        if (nexus->units[i].unit_id == unit->id)
            return &nexus->units[i];
    }
    return NULL;
}

#define RESERVATION_FLAGS                                                                          \
    (SCSI_NEXUS_PREEMPTED | SCSI_NEXUS_RELEASED | SCSI_NEXUS_UNREGISTERED)

static uint8_t reservation_flag(uint8_t flags, uint16_t *ret_asc)
{
    if (flags & SCSI_NEXUS_UNREGISTERED) {
        *ret_asc = ASC_REGISTRATIONS_PREEMPTED;
        return SCSI_NEXUS_UNREGISTERED;
    }
    if (flags & SCSI_NEXUS_PREEMPTED) {
        *ret_asc = ASC_RESERVATIONS_PREEMPTED;
        return SCSI_NEXUS_PREEMPTED;
    }
    *ret_asc = ASC_RESERVATIONS_RELEASED;
    return SCSI_NEXUS_RELEASED;
}

bool scsi_nexus_attention(struct scsi_nexus *nexus, struct scsi_unit *unit, bool take,
                          uint8_t *ret_asc, uint8_t *ret_ascq)
{
    struct scsi_nexus_unit *state = scsi_nexus_state(nexus, unit);
    uint32_t head = atomic_load_explicit(&unit->attentions->head, memory_order_acquire);
    uint32_t next = 0;
    uint16_t asc = 0;
    uint8_t flag = 0;

    if (!state)
        return false;
    if (head - state->attention_at > SCSI_UA_SLOTS)
        state->attention_at = head - SCSI_UA_SLOTS;
    bool found = next_event(nexus, unit->attentions, state->attention_at, head, &asc, &next);
    if (!found)
        state->attention_at = next;

    if (found && is_reset(asc)) {
        flag = SCSI_NEXUS_POWER_ON | SCSI_NEXUS_LOST; /* one reset tells it all */
    } else if (state->flags & SCSI_NEXUS_POWER_ON) {
        flag = SCSI_NEXUS_POWER_ON | SCSI_NEXUS_LOST;
        asc = ASC_POWER_ON;
        found = false;
    } else if (state->flags & SCSI_NEXUS_LOST) {
        flag = SCSI_NEXUS_LOST;
        asc = ASC_NEXUS_LOSS;
        found = false;
    } else if (state->flags & RESERVATION_FLAGS) {
        flag = reservation_flag(state->flags, &asc);
        found = false;
    } else if (!found && (state->flags & SCSI_NEXUS_LUNS_CHANGED)) {
        flag = SCSI_NEXUS_LUNS_CHANGED;
        asc = ASC_LUNS_CHANGED;
    } else if (!found) {
        return false;
    }
    if (take) {
        state->flags &= (uint8_t)~flag;
        if (found)
            state->attention_at = next;
    }
    *ret_asc = (uint8_t)(asc >> 8);
    *ret_ascq = (uint8_t)asc;
    return true;
}
