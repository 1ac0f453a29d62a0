/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The image of an upgrade between two layouts of memory (handover/image.h): the old worker's end of it, and
 * the new one's. From the moment on that the new worker moves a byte of a connection, what the old one has
 * left in its own layout is out of date: it is made unusable before that, with one store, so that nobody
 * who comes after a crash takes it for the truth.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"
#include "handover/image_export.h"
#include "handover/image_import.h"

#define SEALS   (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WAIT_MS 2000

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int daemon_image_export(const struct daemon *d)
{
    uint64_t begin = clock_now_ns();
    g_autofree uint64_t *received = g_new0(uint64_t, state_head()->connections);
    char name[STATE_NAME_MAX];
    daemon_engine_state_name(d, name);
    acceptor_received(d->acceptor, received);
    g_autoptr(GByteArray) image = image_export(&(struct image_source){
        .layout = daemon_engine_layout(d),
        .state_name = name,
        .area = d->scsi.area,
        .received = received,
    });
    int fd = memfd_create("holdfast-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, image->data, image->len);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    log_info("handover", "state written down bytes=%u took=%.3fms", image->len,
             (double)(clock_now_ns() - begin) / 1e6);
    return fd;
}

/* The memory that the old worker's image speaks of; false: it cannot be had. */
static bool find_predecessor(struct daemon *d, const struct image_head *from)
{
    if (!g_str_has_prefix(from->state_name, "keep:sessions:") || from->state_bytes < STATE_PAGE ||
        link_get_memfd(&d->link, from->state_name, from->state_bytes, WAIT_MS, &d->predecessor,
                       NULL, NULL) < 0)
        return false;
    void *page = mmap(NULL, STATE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d->predecessor, 0);
    d->predecessor_head = page == MAP_FAILED ? NULL : page;
    return d->predecessor_head && *d->predecessor_head == STATE_MAGIC;
}

/* ---- pools of another number or size ---- */

struct old_pools {
    struct daemon *daemon;
    const struct image_head *from;
    struct {
        uint8_t *base;
        uint64_t bytes;
    } pool[ARENA_POOL_LAST - ARENA_POOL_FIRST + 1];
};

static const uint8_t *old_pool(void *user, unsigned index, uint64_t *ret_bytes)
{
    struct old_pools *old = user;
    char name[STATE_NAME_MAX];
    uint64_t bytes;
    int fd;

    if (!old->pool[index].base) {
        daemon_engine_pool(old->daemon, old->from, index, name, &bytes);
        if (link_get_memfd(&old->daemon->link, name, bytes, WAIT_MS, &fd, NULL, NULL) < 0)
            return NULL;
        void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (base == MAP_FAILED)
            return NULL;
        old->pool[index].base = base;
        old->pool[index].bytes = bytes;
    }
    *ret_bytes = old->pool[index].bytes;
    return old->pool[index].base;
}

static void old_pools_unmap(struct old_pools *old)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(old->pool); i++)
        if (old->pool[i].base)
            munmap(old->pool[i].base, old->pool[i].bytes);
}

static void drop(struct daemon *d, const char *name)
{
    struct link_message m = { .type = LINK_MEMFD_DROP, .fd = -1 };
    g_strlcpy(m.memfd_drop.name, name, sizeof(m.memfd_drop.name));
    daemon_tell(d, &m);
}

/* What only the worker before had: nobody comes back to it. */
static void drop_old(struct daemon *d)
{
    const struct image_head *from = &d->predecessor_image;
    struct state_head ours = daemon_engine_head(d);
    char name[STATE_NAME_MAX];
    uint64_t bytes;

    drop(d, from->state_name);
    if (from->reactors == ours.reactors && from->pool_mib == ours.pool_mib)
        return;
    for (unsigned i = 0; i <= from->reactors; i++) {
        daemon_engine_pool(d, from, i, name, &bytes);
        drop(d, name);
    }
    if (from->reactors != ours.reactors) {
        scsi_keep_area_name(from->reactors, name);
        drop(d, name);
    }
}

const char *daemon_image_import(struct daemon *d, int fd)
{
    uint64_t begin = clock_now_ns();
    struct state_head head = daemon_engine_head(d);
    struct image_import in = { .layout = daemon_engine_layout(d),
                               .head = &head,
                               .area = d->scsi.area };
    struct old_pools old = { .daemon = d, .from = &in.from };
    struct image_move move = {
        .pools = d->pools, .reactors = d->data_count, .old_pool = old_pool, .user = &old
    };
    struct stat st;
    if (fcntl(fd, F_GET_SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0)
        return "it is no sealed memory";
    void *image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (image == MAP_FAILED)
        return g_strerror(errno);
    in.move = &move;
    const char *why = image_import(&in, image, (size_t)st.st_size);
    old_pools_unmap(&old);
    munmap(image, (size_t)st.st_size);
    if (!why && !find_predecessor(d, &in.from))
        why = "the memory of the old worker is not there";
    if (why)
        return why;
    d->resume = true;
    d->predecessor_image = in.from;
    log_info("handover",
             "state read from=%016llx bytes=%lld sessions=%u connections=%u units=%u took=%.3fms",
             (unsigned long long)in.from.layout, (long long)st.st_size, in.sessions, in.connections,
             in.units, (double)(clock_now_ns() - begin) / 1e6);
    return NULL;
}

void daemon_image_begin(struct daemon *d)
{
    if (d->predecessor_head)
        __atomic_store_n(d->predecessor_head, 0, __ATOMIC_SEQ_CST);
}

void daemon_image_end(struct daemon *d)
{
    struct stat st;
    if (d->predecessor < 0)
        return;
    if (fstat(d->predecessor, &st) == 0)
        fallocate(d->predecessor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
    munmap(d->predecessor_head, STATE_PAGE);
    close(d->predecessor);
    d->predecessor = -1;
    d->predecessor_head = NULL;
    drop_old(d);
}
