/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the export was, in a little memory that the daemon keeps over its worker's death: so a worker can take
 * a LUN over, and its initiators' commands, while the server is away. Valid for the URI it was written
 * for. Memory of another size is not ours (a RAM disk was here) and left alone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nbd.h"

struct remembered {
    _Atomic uint64_t valid; /* VALID: the rest is */
    uint64_t uri;           /* hash_of() it */
    struct export export;
};
#define VALID UINT64_C(0x3144424e44464c48)

/* FNV-1a; nobody has to be kept out. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    while (*text)
        hash = (hash ^ (unsigned char)*text++) * UINT64_C(0x100000001b3);
    return hash;
}

static struct remembered *map(int fd)
{
    struct stat st;
    void *memory = MAP_FAILED;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == sizeof(struct remembered))
        memory = mmap(NULL, sizeof(struct remembered), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

struct remembered *remember_open(const struct client *client, struct export *ret_export,
                                 uint32_t *ret_is_known)
{
    int32_t fd;
    uint32_t existed;
    *ret_is_known = 0;
    if (client->host->memfd_get(client->lun, sizeof(struct remembered), &fd, &existed, NULL) < 0)
        return NULL;
    struct remembered *r = map(fd);
    if (!r)
        return NULL;
    if (existed && atomic_load_explicit(&r->valid, memory_order_acquire) == VALID &&
        r->uri == hash_of(client->config->uri)) {
        *ret_export = r->export;
        *ret_is_known = 1;
    }
    return r;
}

void remember(struct remembered *r, const struct client *client)
{
    if (!r)
        return;
    atomic_store_explicit(&r->valid, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    r->uri = hash_of(client->config->uri);
    r->export = client->export;
    atomic_store_explicit(&r->valid, VALID, memory_order_release);
}

void remember_close(struct remembered *r)
{
    if (r)
        munmap(r, sizeof(*r));
}
