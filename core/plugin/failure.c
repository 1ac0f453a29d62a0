/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O that a handler has failed: counted, and said in the log, one line a LUN in ten seconds. What has
 * happened since the line before is in its count.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/storage_private.h"

#define TELL_EVERY_NS (10 * NS_PER_S)

/* Of all reactors one has the line, and the count. */
static uint64_t take_turn(struct hf_lun *lun, uint64_t now_ns)
{
    uint64_t told_ns = atomic_load_explicit(&lun->failure_told_ns, memory_order_relaxed);

    atomic_fetch_add_explicit(&lun->failures_untold, 1, memory_order_relaxed);
    if (told_ns && now_ns < told_ns + TELL_EVERY_NS)
        return 0;
    if (!atomic_compare_exchange_strong(&lun->failure_told_ns, &told_ns, now_ns))
        return 0;
    return atomic_exchange_explicit(&lun->failures_untold, 0, memory_order_relaxed);
}

void lun_failed(struct hf_lun *lun, const struct backend_io *io, int result, uint64_t now_ns)
{
    static const char *const ops[] = {
        [BACKEND_READ] = "read",
        [BACKEND_WRITE] = "write",
        [BACKEND_FLUSH] = "flush",
        [BACKEND_UNMAP] = "unmap",
        [BACKEND_WRITE_ZEROES] = "write-zeroes",
        [BACKEND_BLOCK_STATUS] = "block-status",
        [BACKEND_COMPARE_AND_WRITE] = "compare-and-write",
    };

    atomic_fetch_add_explicit(&lun->errors, 1, memory_order_relaxed);
    if (result == -EOPNOTSUPP) /* it is done in another way */
        return;
    uint64_t times = take_turn(lun, now_ns);
    if (times)
        log_warning("storage",
                    "an I/O has failed handler=%s target=%s lun=%u op=%s offset=%" PRIu64
                    " bytes=%" PRIu64 " error=\"%s\" times=%" PRIu64,
                    lun->backend.product, lun->target, lun->number,
                    io->op < G_N_ELEMENTS(ops) ? ops[io->op] : "?", io->offset, io->length,
                    g_strerror(-result), times);
}
