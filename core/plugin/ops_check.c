/* SPDX-License-Identifier: BSD-3-Clause */
/* See ops_check.h. */
#include "plugin/ops_check.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define NAME_MAX_BYTES 63

bool plugin_name_is_good(const char *name)
{
    size_t length = strnlen(name, NAME_MAX_BYTES + 1);
    if (length == 0 || length > NAME_MAX_BYTES || !g_ascii_islower(name[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) && name[i] != '-')
            return false;
    return true;
}

struct needed {
    const char *name;
    bool there;
};

static int check_needed(const struct needed *row, struct hf_error *error)
{
    for (; row->name; row++)
        if (!row->there)
            return plugin_fail(error, EINVAL, "the operation %s is missing", row->name);
    return 0;
}

int plugin_check_handler(const struct hf_handler_ops *ops, struct hf_error *error)
{
    const struct needed common[] = { { "open", ops->open }, { "close", ops->close }, { NULL } };
    const struct needed queue[] = {
        { "queue_open", ops->queue_open },
        { "submit", ops->submit },
        { "queue_close", ops->queue_close },
        { NULL },
    };
    const struct needed blocking[] = { { "pread", ops->pread },
                                       { "pwrite", ops->pwrite },
                                       { NULL } };

    if (ops->shape < HF_SHAPE_QUEUE || ops->shape > HF_SHAPE_BLOCKING_PARALLEL)
        return plugin_fail(error, EINVAL, "unknown shape %u of a handler", ops->shape);
    if (ops->io_bytes > HF_IO_BYTES_MAX)
        return plugin_fail(error, EINVAL, "io_bytes %u is more than %u", ops->io_bytes,
                           HF_IO_BYTES_MAX);
    if (ops->queue_depth > HF_QUEUE_DEPTH_MAX)
        return plugin_fail(error, EINVAL, "queue_depth %u is more than %u", ops->queue_depth,
                           HF_QUEUE_DEPTH_MAX);
    int r = check_needed(common, error);
    if (r < 0)
        return r;
    return check_needed(ops->shape == HF_SHAPE_QUEUE ? queue : blocking, error);
}

int plugin_check_auth(const struct hf_auth_ops *ops, struct hf_error *error)
{
    const struct needed all[] = {
        { "method", ops->method && ops->method[0] },
        { "keys", ops->keys },
        { "open", ops->open },
        { "close", ops->close },
        { "start", ops->start },
        { "step", ops->step },
        { "end", ops->end },
        { NULL },
    };
    return check_needed(all, error);
}

int plugin_check_fence(const struct hf_fence_ops *ops, struct hf_error *error)
{
    const struct needed all[] = {
        { "open", ops->open },
        { "raise", ops->raise },
        { "lower", ops->lower },
        { "close", ops->close },
        { NULL },
    };
    return check_needed(all, error);
}
