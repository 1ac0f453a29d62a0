/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening and closing of LUNs: see storage.h. What the handler says of the LUN is checked once here
 * (and again at lu_changed): info.c.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/host.h"
#include "plugin/storage_private.h"

#define BUSY_NS      (2 * NS_PER_S)
#define BUSY_LOOK_US 500u

_Thread_local uint32_t lun_at_work;

uint32_t storage_current(void)
{
    return lun_at_work;
}

void storage_set_mark(struct backend *backend, uint32_t mark)
{
    lun_of(backend)->mark = mark;
}

/* ---------------------------------------------------------------------------------------- open */

static int map_store(struct hf_lun *lun, const struct hf_lun_info *info, struct hf_error *error)
{
    if (!info->store_valid)
        return 0;
    int fd = fcntl(info->store_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return plugin_fail(error, errno, "handler %s: its store: %s", lun->plugin->info.name,
                           strerror(errno));
    /* What is on its way out of the store names the arena: the next worker's is the same. */
    int arena = lun->store_number ? (int)(ARENA_STORE_FIRST + lun->store_number - 1) : 0;
    if (arena) {
        int r = arena_map((unsigned)arena, fd, info->bytes);
        arena = r < 0 ? r : arena;
    } else {
        arena = arena_map_any(fd, info->bytes);
    }
    if (arena < 0) {
        close(fd);
        return plugin_fail(error, -arena, "handler %s: its store cannot be mapped: %s",
                           lun->plugin->info.name, strerror(-arena));
    }
    lun->store_arena = (uint32_t)arena;
    return 0;
}

static void unmap_store(struct hf_lun *lun)
{
    if (lun->store_arena)
        arena_unmap(lun->store_arena);
    lun->store_arena = 0;
}

static struct hf_lun *lun_free(struct hf_lun *lun)
{
    lun_state_unmap(lun);
    absent_free(lun);
    plugin_config_free(lun->config);
    g_free(lun->queues);
    g_free(lun->target);
    g_free(lun);
    return NULL;
}

void lun_set_plugin(struct hf_lun *lun, const struct plugin *plugin, struct plugin_config *config)
{
    const struct hf_handler_ops *ops = &plugin->handler;
    lun->plugin = plugin;
    lun->ops = ops;
    lun->config = config;
    lun->kicks = ops->shape == HF_SHAPE_QUEUE && ops->kick;
    lun->depth = ops->queue_depth ? ops->queue_depth : QUEUE_DEPTH_DEFAULT;
    lun->slot_bytes = (sizeof(struct slot) + ops->io_bytes + 63) & ~(size_t)63;
}

struct hf_lun *lun_new(const struct storage_options *options, const char *product)
{
    struct hf_lun *lun = g_new0(struct hf_lun, 1);
    lun->services = options->services;
    lun->target = g_strdup(options->target);
    lun->number = options->lun;
    lun->read_only = options->read_only;
    lun->above = options->above;
    lun->mark = options->above ? options->above->mark : options->mark;
    lun->memory_taken = options->above ? options->above->memory_taken
                                       : options->beside && storage_uses_memory(options->beside);
    lun->asked_block_bytes = options->block_bytes;
    atomic_init(&lun->open_queues, 1);
    lun->again = options->again;
    lun->free_by_ns = options->free_by_ns;
    lun->queues = g_malloc0_n(options->services->reactor_count, sizeof(*lun->queues));
    lun->backend.ops = &queue_backend_ops;
    lun->backend.product = product;
    return lun;
}

/* A file system that is not mounted any more must not leave its
   initiators with a new file full of zeroes. */
static int check_there(struct hf_lun *lun, struct hf_error *error)
{
    const char *config = plugin_config_data(lun->config);
    for (const struct hf_option *row = lun->plugin->info.options; row && row->name; row++) {
        if (!plugin_option_is_disk(lun->plugin->info.options, row))
            continue;
        const char *path = *(const char *const *)(config + row->offset);
        if (path && path[0] && access(path, F_OK) < 0)
            return plugin_fail(error, errno, "%s: %s; a disk in use is not made anew", path,
                               strerror(errno));
    }
    return 0;
}

/*
 * A file that a dead worker had open stays locked until the last of its requests is gone from its rings: a
 * moment after its death. At a start it may be a worker of a daemon that was killed just now.
 */
static int open_when_free(struct hf_lun *lun, const struct hf_open *how, struct hf_lun_info *info,
                          struct hf_error *error)
{
    const uint64_t until_ns = lun->again ? clock_now_ns() + BUSY_NS : lun->free_by_ns;
    const struct hf_lun_info empty = *info;
    int r;
    while ((r = lun->ops->open(how, plugin_config_data(lun->config), info, &lun->handle, error)) ==
               -EBUSY &&
           clock_now_ns() < until_ns) {
        lowers_discard(lun);
        *error = (struct hf_error)PLUGIN_ERROR_INIT;
        *info = empty;
        g_usleep(BUSY_LOOK_US);
    }
    return r;
}

int lun_open_handler(struct hf_lun *lun, struct backend_info *ret_info, struct hf_error *error)
{
    struct hf_lun_info info = { .size = sizeof(info), .store_fd = -1 };
    const struct hf_open how = {
        .size = sizeof(how),
        .read_only = lun->read_only,
        .target = lun->target,
        .lun_number = lun->number,
        .lun = lun,
        .block_bytes = lun->asked_block_bytes,
    };
    int r = lun->again ? check_there(lun, error) : 0;
    if (r < 0)
        return r;
    uint32_t before = lun_enter(lun);
    lun->opening = true;
    r = open_when_free(lun, &how, &info, error);
    lun->opening = false;
    lun_leave(before);
    if (r != 0)
        return plugin_fail(error, r < 0 ? -r : EIO, "%s",
                           error->text[0] ? error->text : strerror(r < 0 ? -r : EIO));
    r = lun_check_info(lun, &info, lun->asked_block_bytes, error);
    if (r == 0)
        r = map_store(lun, &info, error);
    if (r < 0) {
        lun->ops->close(lun->handle);
        return r;
    }
    lun->open = true;
    *ret_info = lun_convert_info(lun, &info);
    lun_state_used(lun);
    return 0;
}

int storage_open(const struct storage_options *options, struct backend **ret_backend,
                 struct hf_error *error)
{
    struct hf_error local = PLUGIN_ERROR_INIT;
    struct hf_lun *lun = lun_new(options, options->plugin->info.name);
    lun_set_plugin(lun, options->plugin, options->config);
    if (!lun->kicks)
        lun->backend.ops = &queue_backend_ops_without_kick;
    int r = lun_open_handler(lun, &lun->backend.info, error ? error : &local);
    if (r < 0) {
        lowers_discard(lun);
        lun_free(lun);
        return r;
    }
    *ret_backend = &lun->backend;
    return 0;
}

int storage_update(struct backend *backend, struct plugin_config *config, struct hf_error *error)
{
    struct hf_lun *lun = lun_of(backend);
    struct hf_error why = PLUGIN_ERROR_INIT;
    if (storage_is_absent(backend)) { /* whoever opens it takes them from where they came from */
        plugin_config_free(config);
        return 0;
    }
    if (!lun->ops->update)
        return plugin_fail(error, ENOTSUP, "handler %s takes no changes while it is open",
                           lun->plugin->info.name);
    int r = lun->ops->update(lun->handle, plugin_config_data(config), &why);
    if (r != 0)
        return plugin_fail(error, r < 0 ? -r : EIO, "%s",
                           why.text[0] ? why.text : strerror(r < 0 ? -r : EIO));
    plugin_config_free(lun->config);
    lun->config = config;
    return 0;
}

/* --------------------------------------------------------------------------------------- close */

static void close_run(struct pool_job *job)
{
    struct hf_lun *lun = container_of(job, struct hf_lun, close_job);
    while (atomic_load_explicit(&lun->serial_pending, memory_order_acquire) > 0)
        nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL); /* the end of serial_done() */
    for (unsigned i = 0; i < lun->services->reactor_count; i++)
        if (lun->queues[i])
            queue_free(lun->queues[i]);
    if (lun->open)
        lun->ops->close(lun->handle);
    unmap_store(lun);
}

static void all_closed(void *data)
{
    struct hf_lun *lun = data;
    void (*closed)(void *user) = lun->closed;
    void *user = lun->closed_user;
    if (lowers_close(lun, all_closed)) /* comes back when one more is closed */
        return;
    lun_free(lun);
    if (closed)
        closed(user);
}

static void close_done(struct pool_job *job)
{
    all_closed(container_of(job, struct hf_lun, close_job));
}

void lun_discard_handler(struct hf_lun *lun)
{
    lun->ops->close(lun->handle);
    lun->open = false;
    unmap_store(lun);
    lowers_discard(lun);
}

void lun_discard(struct hf_lun *lun)
{
    lun_discard_handler(lun);
    lun_free(lun);
}

void lun_queue_closed(struct hf_lun *lun)
{
    if (atomic_fetch_sub_explicit(&lun->open_queues, 1, memory_order_acq_rel) != 1)
        return;
    lun->close_job = (struct pool_job){ .run = close_run, .done = close_done };
    pool_submit(lun->services->pool, &lun->close_job);
}

void storage_close(struct backend *backend, void (*closed)(void *user), void *user)
{
    struct hf_lun *lun = lun_of(backend);
    lun->closed = closed;
    lun->closed_user = user;
    absent_closing(lun);
    for (unsigned i = 0; i < lun->services->reactor_count; i++) {
        struct hf_queue *queue = atomic_load_explicit(&lun->queues[i], memory_order_acquire);
        if (!queue)
            continue;
        atomic_fetch_add_explicit(&lun->open_queues, 1, memory_order_relaxed);
        queue_close(queue);
    }
    lun_queue_closed(lun);
}

struct close_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool closed;
    unsigned users; /* the waiter and closed() */
};

static void wait_unref(struct close_wait *wait)
{
    bool last = --wait->users == 0;
    pthread_mutex_unlock(&wait->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&wait->lock);
    pthread_cond_destroy(&wait->cond);
    g_free(wait);
}

static void wait_closed(void *user)
{
    struct close_wait *wait = user;
    pthread_mutex_lock(&wait->lock);
    wait->closed = true;
    pthread_cond_signal(&wait->cond);
    wait_unref(wait);
}

int storage_close_wait(struct backend *backend, unsigned timeout_ms)
{
    struct close_wait *wait = g_new0(struct close_wait, 1);
    struct timespec end;
    int r = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout_ms / 1000 + (end.tv_nsec + timeout_ms % 1000 * 1000000l) / 1000000000l;
    end.tv_nsec = (end.tv_nsec + timeout_ms % 1000 * 1000000l) % 1000000000l;
    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->cond, NULL);
    wait->users = 2;
    storage_close(backend, wait_closed, wait);
    pthread_mutex_lock(&wait->lock);
    while (!wait->closed && r == 0)
        r = pthread_cond_clockwait(&wait->cond, &wait->lock, CLOCK_MONOTONIC, &end);
    r = wait->closed ? 0 : -ETIMEDOUT;
    wait_unref(wait);
    return r;
}

/* ------------------------------------------------------------------- what handlers ask of a LUN */

static void copy_info(struct hf_lun_info *to, const struct hf_lun_info *from)
{
    memset(to, 0, sizeof(*to));
    memcpy(to, from, MIN(from->size, sizeof(*to)));
}

void storage_host_lu_changed(struct hf_lun *lun, const struct hf_lun_info *info)
{
    struct hf_lun_info copy;
    struct hf_error why = PLUGIN_ERROR_INIT;
    copy_info(&copy, info);
    if (lun_check_info(lun, &copy, lun->backend.info.block_bytes, &why) < 0) {
        log_error("storage",
                  "a handler announced an impossible change; ignored target=%s lun=%u "
                  "error=\"%s\"",
                  lun->target, lun->number, why.text);
        return;
    }
    struct backend_info converted = lun_convert_info(lun, &copy);
    if (lun->above) {
        storage_set_info(&lun->backend, &converted);
        if (lun->above->ops->lower_changed)
            lun->above->ops->lower_changed(lun->above->handle, &copy);
    } else if (lun->services->changed)
        lun->services->changed(lun->services->user, &lun->backend, &converted);
}

void storage_set_info(struct backend *backend, const struct backend_info *info)
{
    /* Reactors read it meanwhile: word by word. Blocks, store and kind of medium are from open on. */
    struct backend_info *to = &backend->info;
    __atomic_store_n(&to->bytes, info->bytes, __ATOMIC_RELAXED);
    if (to->optimal_io_bytes != info->optimal_io_bytes)
        to->optimal_io_bytes = info->optimal_io_bytes;
    if (to->max_io_bytes != info->max_io_bytes)
        to->max_io_bytes = info->max_io_bytes;
    if (to->unmap_granularity_bytes != info->unmap_granularity_bytes)
        to->unmap_granularity_bytes = info->unmap_granularity_bytes;
    if (to->features != info->features)
        to->features = info->features;
    if (to->store_arena != info->store_arena) /* of one that was absent */
        to->store_arena = info->store_arena;
}

int32_t storage_host_memfd_get(struct hf_lun *lun, uint64_t bytes, int32_t *ret_fd,
                               uint32_t *ret_existed, struct hf_error *error)
{
    g_autofree char *name = g_strdup_printf("lun:%s/%u", lun->target, lun->number);
    bool existed = false;
    int fd = -1;
    if (lun->memory_taken)
        return plugin_fail(error, EBUSY, "its memory is in use as long as the LUN is open");
    if (!lun->services->memfd_get)
        return plugin_fail(error, ENOTSUP, "no memory that outlives the process is to be had here");
    uint32_t number = 0;
    int r = lun->services->memfd_get(lun->services->user, name, bytes, &fd, &existed, &number);
    if (r < 0)
        return plugin_fail(error, -r, "%" PRIu64 " bytes of memory: %s", bytes, strerror(-r));
    lun->store_number = number + 1;
    *ret_fd = fd;
    if (ret_existed)
        *ret_existed = existed;
    return 0;
}

bool storage_memory(const struct backend *backend, uint32_t *ret_number)
{
    const struct hf_lun *lun = lun_of(backend);
    if (!lun->store_number)
        return lowers_memory(lun, ret_number);
    *ret_number = lun->store_number - 1;
    return true;
}

bool storage_uses_memory(const struct backend *backend)
{
    uint32_t number;
    return storage_memory(backend, &number) || absent_used_memory(lun_of(backend));
}

const char *storage_target(const struct backend *backend)
{
    return lun_of(backend)->target;
}

unsigned storage_lun(const struct backend *backend)
{
    return lun_of(backend)->number;
}
