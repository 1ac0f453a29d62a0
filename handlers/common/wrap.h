/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What handlers that wrap another have in common: an I/O goes down as it came, its answer comes up, and
 * the LUN is what the one below is. All of it on the thread that the call of <holdfast/handler.h> is on.
 */
#pragma once

#include <errno.h>

#include <holdfast/handler.h>

/* For validate(): 0, or -ENOTSUP where the daemon is older than stacking. */
static inline int32_t wrap_check(const struct hf_host *host, struct hf_error *error)
{
    if (host->size > offsetof(struct hf_host, lower_cancel) && host->lower_open)
        return 0;
    return host->fail(error, ENOTSUP, "this daemon has no stacking (API 1.1)");
}

/* `below`, usually in io->room, becomes the I/O as it came. */
static inline void wrap_io(struct hf_lower_io *below, const struct hf_io *io,
                           void (*done)(struct hf_lower_io *below, int32_t result))
{
    *below = (struct hf_lower_io){
        .size = sizeof(*below),
        .op = io->op,
        .flags = io->flags,
        .iov_count = io->iov_count,
        .iov = io->iov,
        .offset = io->offset,
        .length = io->length,
        .done = done,
    };
}

/* What the one below has answered beside the result. */
static inline void wrap_answer(struct hf_io *io, const struct hf_lower_io *below)
{
    io->extent_bytes = below->extent_bytes;
    io->extent_mapped = below->extent_mapped;
}

/* What this LUN is, by what the one below is: it answers later than within submit(). */
static inline void wrap_info(struct hf_lun_info *info)
{
    info->features &= ~HF_FEATURE_IMMEDIATE;
}

/* For space(): what the LUN below says. */
static inline int32_t wrap_space(const struct hf_host *host, struct hf_lower *lower,
                                 struct hf_space *ret_space)
{
    return host->size > offsetof(struct hf_host, lower_space) ? host->lower_space(lower, ret_space)
                                                              : -ENOTSUP;
}

/* For lower_changed(). */
static inline void wrap_changed(const struct hf_host *host, struct hf_lun *lun,
                                const struct hf_lun_info *below)
{
    struct hf_lun_info info = *below;
    wrap_info(&info);
    host->lu_changed(lun, &info);
}
