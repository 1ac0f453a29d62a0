/* SPDX-License-Identifier: BSD-3-Clause */
/* See rig.h. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

void (*rig_stuck)(const char *what);

static void stuck(const char *what)
{
    if (rig_stuck)
        rig_stuck(what);
    g_error("%s", what);
}

/* Memory of LUNs by name, as the keeper has it. */
#define MEMFDS_MAX 64
struct memfd {
    char name[320];
    int fd; /* of the process `owner` */
    pid_t owner;
};
static struct memfd own_memfds[MEMFDS_MAX], *memfds = own_memfds;
static GMutex memfds_lock;

static int make_memfd(struct memfd *m, const char *name, uint64_t bytes)
{
    int fd = arena_create_fd(name, bytes);
    if (fd < 0)
        return fd;
    m->fd = fd;
    m->owner = getpid();
    g_strlcpy(m->name, name, sizeof(m->name));
    return 0;
}

static int get_memfd(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed,
                     uint32_t *ret_number)
{
    struct memfd *m = memfds;
    int r = 0;
    g_mutex_lock(&memfds_lock);
    while (m->name[0] && strcmp(m->name, name) != 0)
        g_assert_true(++m < memfds + MEMFDS_MAX);
    *ret_number = (uint32_t)(m - memfds);
    *ret_existed = m->name[0] != '\0';
    if (!*ret_existed)
        r = make_memfd(m, name, bytes);
    if (r == 0)
        *ret_fd = dup(m->fd);
    g_mutex_unlock(&memfds_lock);
    return r;
}

void rig_share_memfds(void)
{
    memfds =
        mmap(NULL, sizeof(own_memfds), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(memfds != MAP_FAILED);
}

void rig_take_memfds(void)
{
    for (struct memfd *m = memfds; m < memfds + MEMFDS_MAX && m->name[0]; m++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)m->owner, m->fd);
        m->fd = open(path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(m->fd, >=, 0);
        m->owner = getpid();
    }
}

static void forget_memfds(void)
{
    for (struct memfd *m = memfds; m < memfds + MEMFDS_MAX && m->name[0]; m++) {
        close(m->fd);
        m->name[0] = '\0';
    }
}

static void lun_changed(void *user, struct backend *backend, const struct backend_info *info)
{
    struct rig *rig = user;
    rig->changed = *info;
    rig->change_count++;
}

void rig_init(struct rig *rig, unsigned pool_threads)
{
    *rig = (struct rig){ 0 };
    g_assert_cmpint(pool_create("kit", pool_threads, &rig->pool), ==, 0);
    for (unsigned i = 0; i < RIG_REACTORS; i++) {
        struct reactor_options options = { "kit", i, -1, 0, 0, -1 };
        int r = reactor_create(&options, &rig->reactors[i]);
        if (r < 0)
            g_error("no reactor: %s", ring_refusal_text(r));
        g_assert_cmpint(reactor_start(rig->reactors[i]), ==, 0);
    }
    rig->services = (struct storage_services){
        .user = rig,
        .pool = rig->pool,
        .reactor_count = RIG_REACTORS,
        .memfd_get = get_memfd,
        .changed = lun_changed,
    };
}

void rig_deinit(struct rig *rig)
{
    rig->pool = pool_destroy(rig->pool);
    for (unsigned i = 0; i < RIG_REACTORS; i++) {
        reactor_stop(rig->reactors[i]);
        rig->reactors[i] = reactor_free(rig->reactors[i]);
    }
    forget_memfds();
}

/* ---------------------------------------------------------------------------------------- LUNs */

int rig_config(const struct rig_lun *lun, struct plugin_config **ret_config, struct hf_error *error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    for (const char *const *option = lun->options; option && *option; option++) {
        const char *equals = strchr(*option, '=');
        g_assert_nonnull(equals);
        g_string_append_printf(text, "%.*s: %s\n", (int)(equals - *option), *option, equals + 1);
    }
    int r = config_tree_parse(text->str, text->len, "options", &tree, problems);
    if (r == 0)
        r = plugin_config_new(lun->plugin, config_tree_root(tree), NULL, ret_config, problems);
    if (r < 0 && config_problems_count(problems) > 0)
        plugin_fail(error, -r, "%s", config_problems_get(problems, 0)->text);
    config_tree_free(tree);
    config_problems_free(problems);
    return r;
}

int rig_judge(const struct rig_lun *lun, struct hf_error *error)
{
    struct plugin_config *config;
    int r = rig_config(lun, &config, error);
    if (r == 0)
        plugin_config_free(config);
    return r;
}

int rig_open(struct rig *rig, const struct rig_lun *lun, struct backend **ret_backend,
             struct hf_error *error)
{
    struct plugin_config *config;
    int r = rig_config(lun, &config, error);
    if (r < 0)
        return r;
    const struct storage_options options = {
        .services = &rig->services,
        .plugin = lun->plugin,
        .config = config,
        .target = "iqn.2026-11.org.example:kit",
        .block_bytes = lun->block_bytes,
        .read_only = lun->read_only,
    };
    return storage_open(&options, ret_backend, error);
}

int rig_update(struct rig *rig, struct backend *backend, const struct rig_lun *lun,
               struct hf_error *error)
{
    struct plugin_config *config;
    int r = rig_config(lun, &config, error);
    if (r < 0)
        return r;
    r = storage_update(backend, config, error);
    if (r < 0)
        plugin_config_free(config);
    return r;
}

void rig_close(struct rig *rig, struct backend *backend)
{
    if (storage_close_wait(backend, PATIENCE_MS) < 0)
        stuck("the LUN is not closed within ten seconds");
}

/* ------------------------------------------------------------------------------- calls that wait */

struct call {
    struct reactor_message message;
    struct storage_ask ask;
    void (*function)(void *argument);
    void *argument;
    struct backend *backend;
    struct backend_io io;
    _Atomic unsigned halves; /* of an I/O: that submit has returned, and the answer */
    pthread_mutex_t lock;    /* not GMutex: the thread sanitizer knows these */
    pthread_cond_t cond;
    bool over;
};

static void end_call(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    call->over = true;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

static void init_call(struct call *call)
{
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->cond, NULL);
}

static void wait_for(struct call *call)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&call->lock);
    while (!call->over)
        if (pthread_cond_clockwait(&call->cond, &call->lock, CLOCK_MONOTONIC, &end) != 0)
            stuck("no answer within ten seconds");
    pthread_mutex_unlock(&call->lock);
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->cond);
}

static void post_and_wait(struct rig *rig, unsigned reactor, struct call *call)
{
    init_call(call);
    reactor_post(rig->reactors[reactor], &call->message);
    wait_for(call);
}

static void run_function(struct reactor_message *message)
{
    struct call *call = container_of(message, struct call, message);
    call->function(call->argument);
    end_call(call);
}

void rig_run(struct rig *rig, unsigned reactor, void (*function)(void *argument), void *argument)
{
    struct call call = { .message.run = run_function, .function = function, .argument = argument };
    post_and_wait(rig, reactor, &call);
}

static void end_half(struct call *call)
{
    if (--call->halves == 0)
        end_call(call);
}

static void io_done(struct backend_io *io)
{
    end_half(container_of(io, struct call, io));
}

static void submit_io(struct reactor_message *message)
{
    struct call *call = container_of(message, struct call, message);
    call->backend->ops->submit(call->backend, &call->io);
    if (call->backend->ops->kick)
        call->backend->ops->kick(call->backend);
    end_half(call);
}

int rig_io(struct rig *rig, unsigned reactor, struct backend *backend, struct backend_io *io)
{
    struct call call = { .message.run = submit_io, .backend = backend, .io = *io, .halves = 2 };
    call.io.done = io_done;
    post_and_wait(rig, reactor, &call);
    io->result = call.io.result;
    io->extent = call.io.extent;
    return io->result;
}

int rig_read(struct rig *rig, struct backend *backend, uint64_t offset, void *data, size_t bytes)
{
    const struct iovec iov = { data, bytes };
    struct backend_io io = {
        .op = BACKEND_READ, .iov = &iov, .iov_count = 1, .offset = offset, .length = bytes
    };
    return rig_io(rig, 0, backend, &io);
}

int rig_write(struct rig *rig, struct backend *backend, uint64_t offset, const void *data,
              size_t bytes, unsigned flags)
{
    const struct iovec iov = { (void *)data, bytes };
    struct backend_io io = { .op = BACKEND_WRITE,
                             .iov = &iov,
                             .iov_count = 1,
                             .offset = offset,
                             .length = bytes,
                             .flags = (uint8_t)flags };
    return rig_io(rig, 0, backend, &io);
}

int rig_do(struct rig *rig, struct backend *backend, enum backend_op op, uint64_t offset,
           uint64_t bytes, unsigned flags)
{
    struct backend_io io = {
        .op = (uint8_t)op, .offset = offset, .length = bytes, .flags = (uint8_t)flags
    };
    return rig_io(rig, 0, backend, &io);
}

static void space_told(struct storage_ask *ask)
{
    end_call(container_of(ask, struct call, ask));
}

int rig_space(struct rig *rig, struct backend *backend, struct storage_space *ret_space)
{
    struct call call = { .ask.done = space_told };
    init_call(&call);
    storage_ask_space(backend, &call.ask);
    wait_for(&call);
    *ret_space = call.ask.space;
    return call.ask.result;
}
