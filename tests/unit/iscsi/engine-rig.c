/* SPDX-License-Identifier: BSD-3-Clause */
/* See engine-rig.h. */
#include "engine-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "iscsi/session.h"

#define CONNECTIONS 16u
#define LIMIT_NS    (30 * NS_PER_S)

enum { DATA, LOGIN };

static void connection_closed(void *user, uint32_t slot)
{
    struct engine_rig *rig = user;
    atomic_fetch_add(&rig->closed, 1);
}

static void all_stopped(void *user)
{
    struct engine_rig *rig = user;
    atomic_store(&rig->stopped, true);
}

static void map(unsigned arena, const char *name, uint64_t bytes)
{
    g_assert_cmpint(arena_map(arena, arena_create_fd(name, bytes), bytes), ==, 0);
}

static void create_reactors(struct engine_rig *rig, unsigned pool_mib)
{
    static const char *const names[] = {"data", "login"};
    map(ARENA_STATE, "state", state_bytes(CONNECTIONS, CONNECTIONS));
    *(struct state_head *)arena_table[ARENA_STATE].base = (struct state_head){
        .magic = STATE_MAGIC, .version = STATE_VERSION, .sessions = CONNECTIONS, .connections = CONNECTIONS};
    for (unsigned i = 0; i < 2; i++) {
        struct reactor_options options = {.name = names[i], .index = i, .cpu = -1, .tombstone_fd = -1};
        g_assert_cmpint(reactor_create(&options, &rig->reactors[i]), ==, 0);
        map(ARENA_POOL_FIRST + i, names[i], (uint64_t)pool_mib << 20);
        g_assert_cmpint(bufpool_create(rig->reactors[i], ARENA_POOL_FIRST + i, &rig->pools[i]), ==, 0);
        engine_init(&rig->engines[i], rig->reactors[i]);
        rig->all[i] = &rig->engines[i];
        rig->engines[i].all = rig->all;
        rig->engines[i].all_count = 1;
    }
}

static void create_target(struct engine_rig *rig)
{
    static const struct disk_options disks[RIG_DISKS] = {
        {.blocks = 16384},
        {.blocks = 16384, .store = true, .features = BACKEND_FEATURE_IMMEDIATE},
    };
    const uint16_t tag = 1;
    struct scsi_lun_map *luns;
    g_assert_cmpint(scsi_target_create(RIG_TARGET, NULL, &tag, 1, &rig->target), ==, 0);
    for (unsigned i = 0; i < RIG_DISKS; i++) {
        struct scsi_unit_config config = {.target_name = RIG_TARGET, .lun = (uint16_t)i, .lanes = 1};
        rig->disks[i] = disk_new(&disks[i]);
        g_assert_cmpint(scsi_unit_create(&config, &rig->disks[i]->backend, &rig->units[i]), ==, 0);
    }
    g_assert_cmpint(scsi_lun_map_create(rig->units, NULL, RIG_DISKS, &luns), ==, 0);
    scsi_lun_map_free(scsi_target_publish(rig->target, luns));
}

static void create_catalog(struct engine_rig *rig, const struct engine_rig_options *options)
{
    static const char *const addresses[] = {"127.0.0.1:3260"};
    rig->portal = (struct catalog_portal){"test", 1, addresses, 1};
    rig->portals[0] = &rig->portal;
    rig->catalog_target = (struct catalog_target){
        .name = RIG_TARGET,
        .scsi = rig->target,
        .portals = rig->portals,
        .portal_count = 1,
        .limits = options->limits.max_burst_length ? options->limits : iscsi_limits_default,
        .window = options->window ? options->window : 32,
        .nop_interval_ns = options->nop_interval_ns,
        .nop_timeout_ns = options->nop_timeout_ns,
    };
    rig->catalog_list = &rig->catalog_target;
    rig->catalog = (struct catalog){
        .portals = &rig->portal, .portal_count = 1, .targets = &rig->catalog_list, .target_count = 1};
}

void engine_rig_create(struct engine_rig *rig, const struct engine_rig_options *options)
{
    memset(rig, 0, sizeof(*rig));
    rig->socket_bytes = options->socket_bytes;
    log_set_level(g_getenv("RIG_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    create_reactors(rig, options->pool_mib ? options->pool_mib : 16);
    create_target(rig);
    create_catalog(rig, options);
    struct registry_options registry = {.login = rig->all[LOGIN],
                                        .data = rig->all,
                                        .data_count = 1,
                                        .sessions = CONNECTIONS,
                                        .connections = CONNECTIONS};
    g_assert_cmpint(registry_create(&registry, &rig->registry), ==, 0);
    struct acceptor_options acceptor = {.login = rig->all[LOGIN],
                                        .registry = rig->registry,
                                        .catalog = &rig->catalog,
                                        .sessions = CONNECTIONS,
                                        .connections = CONNECTIONS,
                                        .limits = {CONNECTIONS, 0, CONNECTIONS},
                                        .login_concurrency = CONNECTIONS,
                                        .login_timeout_ns = 10 * NS_PER_S,
                                        .user = rig,
                                        .closed = connection_closed,
                                        .stopped = all_stopped};
    g_assert_cmpint(acceptor_create(&acceptor, &rig->acceptor), ==, 0);
    for (unsigned i = 0; i < 2; i++)
        g_assert_cmpint(reactor_start(rig->reactors[i]), ==, 0);

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(rig->listener, (struct sockaddr *)&any, sizeof(any)), ==, 0);
    g_assert_cmpint(listen(rig->listener, 16), ==, 0);
}

void engine_rig_destroy(struct engine_rig *rig)
{
    acceptor_stop(rig->acceptor, 5 * NS_PER_S);
    uint64_t end = clock_now_ns() + LIMIT_NS;
    while (!atomic_load(&rig->stopped)) {
        g_assert_cmpuint(clock_now_ns(), <, end);
        g_usleep(1000);
    }
    for (unsigned i = 0; i < 2; i++)
        reactor_stop(rig->reactors[i]);
    acceptor_free(rig->acceptor);
    registry_free(rig->registry);
    scsi_target_free(rig->target);
    for (unsigned i = 0; i < RIG_DISKS; i++) {
        scsi_unit_free(rig->units[i]);
        disk_free(rig->disks[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        bufpool_destroy(rig->pools[i]);
        reactor_free(rig->reactors[i]);
        arena_unmap(ARENA_POOL_FIRST + i);
    }
    arena_unmap(ARENA_STATE);
    close(rig->listener);
}

static void limit_buffers(const struct engine_rig *rig, int fd)
{
    const int *bytes = &rig->socket_bytes;
    if (!*bytes)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, bytes, sizeof(*bytes));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, bytes, sizeof(*bytes));
}

int engine_rig_connect(struct engine_rig *rig)
{
    struct address at = {.length = sizeof(at.v4)}, peer = {.length = sizeof(peer.v4)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Of many loopback addresses: ports of closed connections are not free at once. */
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + rig->accepted % 65000 * 256)};
    limit_buffers(rig, fd);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&from, sizeof(from)), ==, 0);
    g_assert_cmpint(getsockname(rig->listener, &at.any, &at.length), ==, 0);
    if (connect(fd, &at.any, at.length) < 0) { /* interrupted by io_uring's work, it goes on */
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        g_assert_cmpint(errno, ==, EINTR);
        g_assert_cmpint(poll(&p, 1, 10000), ==, 1);
    }
    int server;
    while ((server = accept4(rig->listener, &peer.any, &peer.length, SOCK_CLOEXEC)) < 0 && errno == EINTR)
        ;
    g_assert_cmpint(server, >=, 0);
    limit_buffers(rig, server);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    acceptor_accept(rig->acceptor, server, rig->accepted++, 0, &peer);
    return fd;
}

struct call {
    struct reactor_message message;
    void (*run)(void *data);
    void *data;
    _Atomic bool done;
};

static void call_run(struct reactor_message *m)
{
    struct call *call = container_of(m, struct call, message);
    call->run(call->data);
    atomic_store(&call->done, true);
}

void engine_rig_run(struct engine_rig *rig, unsigned reactor, void (*run)(void *data), void *data)
{
    struct call call = {.message.run = call_run, .run = run, .data = data};
    uint64_t end = clock_now_ns() + LIMIT_NS;
    reactor_post(rig->reactors[reactor], &call.message);
    while (!atomic_load(&call.done)) {
        g_assert_cmpuint(clock_now_ns(), <, end); /* a reactor that does not come round */
        sched_yield();
    }
}

static void hold(void *data)
{
    struct disk *disk = data;
    disk->hold = true;
}

static void release(void *data)
{
    struct disk *disk = data;
    disk->hold = false;
    disk->log_count = 0;
    disk_release(disk);
}

void engine_rig_hold(struct engine_rig *rig, unsigned disk)
{
    engine_rig_run(rig, DATA, hold, rig->disks[disk]);
}

void engine_rig_release(struct engine_rig *rig, unsigned disk, bool keep)
{
    engine_rig_run(rig, DATA, release, rig->disks[disk]);
    if (keep)
        engine_rig_hold(rig, disk);
}

struct question {
    struct engine_rig *rig;
    bool (*condition)(struct engine_rig *rig);
    bool answer;
};

static void ask(void *data)
{
    struct question *q = data;
    q->answer = q->condition(q->rig);
}

void engine_rig_wait(struct engine_rig *rig, bool (*condition)(struct engine_rig *rig))
{
    struct question q = {rig, condition, false};
    uint64_t end = clock_now_ns() + LIMIT_NS;
    for (;;) {
        engine_rig_run(rig, DATA, ask, &q);
        if (q.answer)
            return;
        g_assert_cmpuint(clock_now_ns(), <, end);
        sched_yield();
    }
}

/* ---- nothing is left ---- */

static void count_sessions(void *data)
{
    struct engine_rig *rig = data;
    if (registry_count(rig->registry))
        atomic_store(&rig->stopped, true); /* for the question below */
}

static bool registry_is_empty(struct engine_rig *rig)
{
    atomic_store(&rig->stopped, false);
    engine_rig_run(rig, LOGIN, count_sessions, rig);
    return !atomic_exchange(&rig->stopped, false);
}

static void check_idle(void *data)
{
    struct engine_rig *rig = data;
    struct engine *e = &rig->engines[DATA];
    g_assert_true(list_empty(&e->sessions));
    g_assert_true(list_empty(&e->gathering));
    g_assert_true(list_empty(&e->waiter.link));
    g_assert_cmpuint(e->executing, ==, 0);
    g_assert_cmpuint(bufpool_used(rig->pools[DATA]), ==, 0);
    for (unsigned i = 0; i < RIG_DISKS; i++)
        g_assert_cmpuint(scsi_unit_active(rig->units[i]), ==, 0);
}

static void check_login_idle(void *data)
{
    struct engine_rig *rig = data;
    g_assert_true(list_empty(&rig->engines[LOGIN].sessions));
    g_assert_cmpuint(bufpool_used(rig->pools[LOGIN]), ==, 0);
}

void engine_rig_settle(struct engine_rig *rig)
{
    uint64_t end = clock_now_ns() + LIMIT_NS;
    while (atomic_load(&rig->closed) != rig->accepted || !registry_is_empty(rig)) {
        for (unsigned i = 0; i < RIG_DISKS; i++)
            engine_rig_release(rig, i, false);
        g_assert_cmpuint(clock_now_ns(), <, end); /* something hangs */
        sched_yield();
    }
    engine_rig_run(rig, DATA, check_idle, rig);
    engine_rig_run(rig, LOGIN, check_login_idle, rig);
}
