/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a handler does against the rules of <holdfast/handler.h> is contained where it happens; here it
 * is counted, for the conformance kit, and said in the log at the first sixteen times and at every
 * doubling from then on.
 */
#include <inttypes.h>

#include "base/log.h"
#include "plugin/storage_private.h"

static const char *const texts[] = {
    [STORAGE_STRAY_ANSWER] = "answered an I/O twice or one that it does not have; ignored",
    [STORAGE_WRONG_THREAD] =
        "called complete() on another thread than the queue's; taken as complete_remote()",
    [STORAGE_BAD_RESULT] =
        "answered an I/O with a result that is no errno, or an extent that is none; "
        "taken as EIO",
};

/* The LUN is not touched after the counting: who waits for the count may close it. */
void lun_misused(struct hf_lun *lun, enum storage_misuse kind, uint64_t id)
{
    uint64_t before = atomic_load_explicit(&lun->misuses[kind], memory_order_relaxed);
    if (before < 16 || (before & (before - 1)) == 0)
        log_error("storage",
                  "a handler %s handler=%s target=%s lun=%u id=%#" PRIx64 " times=%" PRIu64,
                  texts[kind], lun->backend.product, lun->target, lun->number, id, before + 1);
    atomic_fetch_add_explicit(&lun->misuses[kind], 1, memory_order_release);
}

uint64_t storage_misuses(struct backend *backend, enum storage_misuse kind)
{
    return atomic_load_explicit(&lun_of(backend)->misuses[kind], memory_order_acquire);
}

uint64_t storage_stray_answers(struct backend *backend)
{
    return storage_misuses(backend, STORAGE_STRAY_ANSWER);
}
