/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much room the storage has: a question to the handler, on the pool, because a file system may
 * take its time to answer. It counts as one of the LUN's queues, so that nobody closes it meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "plugin/storage_private.h"

bool storage_tells_space(const struct backend *backend)
{
    return !storage_is_absent(backend) && lun_of(backend)->ops->space != NULL;
}

int lun_space(struct hf_lun *lun, struct storage_space *ret_space)
{
    struct hf_space told = { .size = sizeof(told) };
    if (!lun->ops->space)
        return -ENOTSUP;
    int r = lun->ops->space(lun->handle, &told);
    if (r != 0)
        return r < 0 && r >= -4095 ? r : -EIO;
    *ret_space = (struct storage_space){
        .used_known = told.known & HF_SPACE_USED,
        .available_known = told.known & HF_SPACE_AVAILABLE,
        .shared = told.known & HF_SPACE_SHARED,
    };
    if (ret_space->used_known)
        ret_space->used_bytes = told.used_bytes;
    if (ret_space->available_known)
        ret_space->available_bytes = told.available_bytes;
    return 0;
}

static void ask_run(struct pool_job *job)
{
    struct storage_ask *ask = container_of(job, struct storage_ask, job);
    ask->result = lun_space(lun_of(ask->backend), &ask->space);
}

static void ask_done(struct pool_job *job)
{
    struct storage_ask *ask = container_of(job, struct storage_ask, job);
    struct hf_lun *lun = lun_of(ask->backend);
    ask->done(ask);
    lun_queue_closed(lun);
}

void storage_ask_space(struct backend *backend, struct storage_ask *ask)
{
    struct hf_lun *lun = lun_of(backend);
    ask->backend = backend;
    ask->space = (struct storage_space){ 0 };
    ask->job = (struct pool_job){ .run = ask_run, .done = ask_done };
    atomic_fetch_add_explicit(&lun->open_queues, 1, memory_order_relaxed);
    pool_submit(lun->services->pool, &ask->job);
}
