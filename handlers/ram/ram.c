/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler "ram": a memfd that the daemon keeps by the LUN's name, so that the contents outlive a
 * worker (not the daemon as a whole). Reads and writes are a memcpy and are answered within submit; the
 * daemon sends reads from the store itself and mostly does not ask. Unmapping gives memory back,
 * which takes about 0.3 ms a MiB: larger ranges go to the ring, where they hold up nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <holdfast/handler.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct hf_host *host;

struct config {
    uint64_t bytes;
};

/* 64 TiB fit into the address space; far more than any machine has. */
static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SIZE,
      .name = "size",
      .help = "size of the disk; memory is used as it is written",
      .change = HF_CHANGE_IDENTITY,
      .flags = HF_OPTION_REQUIRED,
      .min = 4096,
      .max = UINT64_C(1) << 46,
      .offset = offsetof(struct config, bytes) },
    { .size = 0 },
};

struct ram_lun {
    int fd;
    char *base;
    uint64_t bytes;
};

struct ram_queue {
    const struct ram_lun *lun;
    struct hf_queue *queue;
};

static int32_t ram_validate(const void *config, struct hf_error *error)
{
    const struct config *c = config;
    return c->bytes % 4096 ? host->fail(error, EINVAL, "size must be a multiple of 4096") : 0;
}

static void ram_close(void *handle)
{
    struct ram_lun *lun = handle;
    if (lun->base)
        munmap(lun->base, lun->bytes);
    if (lun->fd >= 0)
        close(lun->fd);
    free(lun);
}

/* An earlier process may have left a store of another size. */
static int32_t fit_size(const struct ram_lun *lun, struct hf_error *error)
{
    struct stat st;
    if (fstat(lun->fd, &st) < 0 ||
        ((uint64_t)st.st_size != lun->bytes && ftruncate(lun->fd, (off_t)lun->bytes) < 0))
        return host->fail(error, errno, "the memory cannot be sized: %s", strerror(errno));
    return 0;
}

static int32_t open_store(struct ram_lun *lun, const struct hf_open *how, struct hf_error *error)
{
    void *base;
    int32_t r = host->memfd_get(how->lun, lun->bytes, &lun->fd, NULL, error);
    if (r == 0)
        r = fit_size(lun, error);
    if (r < 0)
        return r;
    base = mmap(NULL, lun->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, lun->fd, 0);
    if (base == MAP_FAILED)
        return host->fail(error, errno, "%llu bytes of memory cannot be mapped: %s",
                          (unsigned long long)lun->bytes, strerror(errno));
    lun->base = base;
    return 0;
}

static int32_t ram_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                        void **ret_handle, struct hf_error *error)
{
    const struct config *c = config;
    struct ram_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return host->fail(error, ENOMEM, "no memory");
    lun->fd = -1;
    lun->bytes = c->bytes;
    int32_t r = open_store(lun, how, error);
    if (r < 0) {
        ram_close(lun);
        return r;
    }
    info->bytes = c->bytes;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->physical_block_bytes = 4096;
    info->unmap_granularity_bytes = 4096;
    info->features = HF_FEATURE_FUA | HF_FEATURE_UNMAP | HF_FEATURE_WRITE_ZEROES |
                     HF_FEATURE_ZEROES_UNMAPPED | HF_FEATURE_BLOCK_STATUS | HF_FEATURE_IMMEDIATE;
    info->store_valid = 1;
    info->store_fd = lun->fd;
    *ret_handle = lun;
    return 0;
}

static int32_t ram_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                              struct hf_error *error)
{
    struct ram_queue *q = malloc(sizeof(*q));
    if (!q)
        return host->fail(error, ENOMEM, "no memory for a queue");
    *q = (struct ram_queue){ handle, queue };
    *ret_queue = q;
    return 0;
}

/* In hf_io.room. */
struct ram_punch {
    struct hf_ring_op op;
    const struct ram_queue *queue;
    uint64_t id;
};

#define PUNCH_HERE_MAX (1u << 20) /* bytes */

static void copy(const struct ram_lun *lun, const struct hf_io *io)
{
    char *at = lun->base + io->offset;
    for (uint32_t i = 0; i < io->iov_count; at += io->iov[i++].iov_len) {
        if (io->op == HF_OP_READ)
            memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
        else
            memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
    }
}

static void on_punched(struct hf_ring_op *op, int32_t result)
{
    const struct ram_punch *p = (const struct ram_punch *)op;
    host->complete(p->queue->queue, p->id, result);
}

static void punch(const struct ram_queue *q, const struct hf_io *io)
{
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (io->length <= PUNCH_HERE_MAX) {
        int r = fallocate(q->lun->fd, mode, (off_t)io->offset, (off_t)io->length);
        host->complete(q->queue, io->id, r < 0 ? -errno : 0);
        return;
    }
    struct ram_punch *p = io->room;
    p->op.size = sizeof(p->op);
    p->op.done = on_punched;
    p->queue = q;
    p->id = io->id;
    host->ring_fallocate(q->queue, &p->op, q->lun->fd, mode, io->offset, io->length);
}

/* Extents of a memfd are whole pages, but the question may start inside of one. */
static int32_t block_status(const struct ram_lun *lun, struct hf_io *io)
{
    off_t start = (off_t)io->offset, data = lseek(lun->fd, start, SEEK_DATA), hole;
    if (data < 0 && errno != ENXIO)
        return -errno;
    io->extent_mapped = data == start;
    if (data == start) {
        hole = lseek(lun->fd, start, SEEK_HOLE);
        io->extent_bytes = hole > start ? (uint64_t)(hole - start) : io->length;
    } else {
        io->extent_bytes = data < 0 ? lun->bytes - io->offset : (uint64_t)(data - start);
    }
    return 0;
}

static void ram_submit(void *queue, struct hf_io *io)
{
    const struct ram_queue *q = queue;
    int32_t r = 0;
    switch (io->op) {
    case HF_OP_READ:
    case HF_OP_WRITE:
        copy(q->lun, io);
        break;
    case HF_OP_UNMAP:
    case HF_OP_WRITE_ZEROES:
        punch(q, io);
        return;
    case HF_OP_BLOCK_STATUS:
        r = block_status(q->lun, io);
        break;
    case HF_OP_FLUSH:
        break;
    default:
        r = -EOPNOTSUPP;
    }
    host->complete(q->queue, io->id, r);
}

/* What the kernel says could be had without swapping; 0: it does not say. */
static uint64_t memory_left(void)
{
    char text[512], *at;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "MemAvailable:");
    return at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) * 1024 : 0;
}

static int32_t ram_space(void *handle, struct hf_space *ret_space)
{
    const struct ram_lun *lun = handle;
    struct stat st;
    if (fstat(lun->fd, &st) < 0)
        return -errno;
    ret_space->known = HF_SPACE_USED;
    ret_space->used_bytes = (uint64_t)st.st_blocks * 512;
    ret_space->available_bytes = memory_left();
    if (ret_space->available_bytes)
        ret_space->known |= HF_SPACE_AVAILABLE | HF_SPACE_SHARED;
    return 0;
}

static int32_t ram_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = sizeof(struct ram_punch),
    .validate = ram_validate,
    .open = ram_open,
    .close = ram_close,
    .queue_open = ram_queue_open,
    .submit = ram_submit,
    .queue_close = free,
    .space = ram_space,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "ram",
        .version = HOLDFAST_VERSION,
        .summary = "a disk in memory",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = ram_load,
    };
    return &plugin;
}
