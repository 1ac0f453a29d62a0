/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one process leaves for the next in an orderly hand-over: the handler's save() puts bytes into
 * a memfd of the LUN's name, the next open() gets them, and once that has succeeded they are void: a
 * worker that dies later without a word leaves nothing that is out of date.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin/host.h"
#include "plugin/storage_private.h"

struct state {
    uint32_t magic; /* STATE_MAGIC: `bytes` bytes of data are valid */
    uint32_t bytes;
    uint8_t data[STORAGE_STATE_MAX];
};
#define STATE_MAGIC 0x48465354u

/* NULL: there is no memory that outlives the process. */
static struct state *map(struct hf_lun *lun)
{
    g_autofree char *name =
        g_strdup_printf("keep:state:%s/%u%s", lun->target, lun->number, lun->above ? "/below" : "");
    uint32_t number;
    bool existed;
    int fd;
    if (lun->state)
        return lun->state;
    if (!lun->services->memfd_get ||
        lun->services->memfd_get(lun->services->user, name, sizeof(struct state), &fd, &existed,
                                 &number) < 0)
        return NULL;
    void *memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    lun->state = memory == MAP_FAILED ? NULL : memory;
    return lun->state;
}

int32_t storage_host_state_put(struct hf_lun *lun, const void *data, uint64_t bytes)
{
    if (!lun->saving)
        return -EPERM;
    if (bytes > STORAGE_STATE_MAX)
        return -EMSGSIZE;
    struct state *state = map(lun);
    if (!state)
        return -ENOTSUP;
    state->magic = 0;
    memcpy(state->data, data, bytes);
    state->bytes = (uint32_t)bytes;
    state->magic = STATE_MAGIC;
    return 0;
}

int64_t storage_host_state_get(struct hf_lun *lun, void *data, uint64_t max_bytes)
{
    struct state *state = map(lun);
    if (!state)
        return -ENOTSUP;
    if (state->magic != STATE_MAGIC || state->bytes > STORAGE_STATE_MAX)
        return 0;
    uint64_t bytes = MIN(max_bytes, state->bytes);
    memcpy(data, state->data, bytes);
    return (int64_t)bytes;
}

void lun_state_used(struct hf_lun *lun)
{
    struct state *state = lun->state;
    if (state)
        state->magic = 0;
    lun_state_unmap(lun);
}

void lun_state_unmap(struct hf_lun *lun)
{
    if (lun->state)
        munmap(lun->state, sizeof(struct state));
    lun->state = NULL;
}

int storage_save(struct backend *backend, struct hf_error *error)
{
    struct hf_lun *lun = lun_of(backend);
    struct hf_error why = PLUGIN_ERROR_INIT;
    if (storage_is_absent(backend)) /* what was left for it is there for who opens it */
        return 0;
    int below = lowers_save(lun, error);
    if (below < 0 || !lun->ops->save)
        return below;
    lun->saving = true;
    int r = lun->ops->save(lun->handle, &why);
    lun->saving = false;
    if (r == 0)
        return 0;
    lun_state_used(lun);
    return plugin_fail(error, r < 0 ? -r : EIO, "%s",
                       why.text[0] ? why.text : strerror(r < 0 ? -r : EIO));
}
