/* SPDX-License-Identifier: BSD-3-Clause */
/* Arenas, reactors and engines of the worker. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon_private.h"
#include "handover/image_format.h"
#include "iscsi/session.h"
#include "iscsi/state.h"
#include "scsi/keep.h"
#include "scsi/scratch.h"

#define REACTORS_AUTO_MAX 16u
#define LOGIN_POOL_BYTES  (64u << 20)
#define POOL_THREADS      16u
#define LOGIN_NICE                                                                                 \
    5 /* a storm of logins gets what established I/O leaves, and a quarter at least */
#define MEMFD_WAIT_MS 5000
#define POOL_PREFIX   "keep:pool:"

static unsigned cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static int map(struct daemon *d, unsigned arena, const char *name, uint64_t bytes,
               bool *ret_existed)
{
    int fd;
    int r = link_get_memfd(&d->link, name, bytes, MEMFD_WAIT_MS, &fd, ret_existed, NULL);
    if (r == 0) {
        r = arena_map(arena, fd, bytes);
        if (r < 0)
            close(fd);
    }
    if (r < 0)
        log_error("daemon", "no shared memory name=%s bytes=%llu error=\"%s\"", name,
                  (unsigned long long)bytes, g_strerror(-r));
    return r;
}

static struct state_head layout(const struct daemon *d)
{
    uint32_t n = d->config->daemon.max_connections;
    return (struct state_head){
        .magic = STATE_MAGIC,
        .version = STATE_VERSION,
        .sessions = n,
        .connections = n + config_spare_connections(&d->config->daemon),
        .reactors = d->data_count,
        .session_bytes = sizeof(struct session_record),
        .connection_bytes = sizeof(struct connection_record),
        .task_bytes = sizeof(struct task_record),
        .pool_mib = (uint32_t)(d->config->daemon.buffer_memory_bytes >> BUFPOOL_SUPERBLOCK_SHIFT),
    };
}

/*
 * Workers with pools of another number or size can be there at the same time: each has names of its own.
 * (A version that did not say how large they are had numbers alone.)
 */
void daemon_engine_pool(const struct daemon *d, const struct image_head *of, unsigned index,
                        char name[static STATE_NAME_MAX], uint64_t *ret_bytes)
{
    uint32_t mib = of->pool_mib ? of->pool_mib : layout(d).pool_mib;
    *ret_bytes =
        index == of->reactors ? LOGIN_POOL_BYTES : (uint64_t)mib << BUFPOOL_SUPERBLOCK_SHIFT;
    if (of->pool_mib)
        snprintf(name, STATE_NAME_MAX, POOL_PREFIX "%u/%u:%uM", index, of->reactors, mib);
    else
        snprintf(name, STATE_NAME_MAX, POOL_PREFIX "%u", index);
}

uint64_t daemon_engine_layout(const struct daemon *d)
{
    struct state_head head = layout(d);
    const uint8_t *p = (const uint8_t *)&head;
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof(head); i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ scsi_keep_layout();
}

struct state_head daemon_engine_head(const struct daemon *d)
{
    return layout(d);
}

/* Memory of another layout has another name: two workers can prepare beside each other. */
void daemon_engine_state_name(const struct daemon *d, char name[static STATE_NAME_MAX])
{
    snprintf(name, STATE_NAME_MAX, "keep:sessions:%016llx",
             (unsigned long long)daemon_engine_layout(d));
}

/* The memory may hold what an earlier worker of the same layout left: daemon_engine_begin() looks, when
   that worker is really gone. */
static int map_state(struct daemon *d)
{
    uint32_t n = d->config->daemon.max_connections;
    char name[STATE_NAME_MAX];
    daemon_engine_state_name(d, name);
    return map(d, ARENA_STATE, name,
               state_bytes(n, n + config_spare_connections(&d->config->daemon)), &d->resume);
}

static void count_anew(struct daemon *d)
{
    for (unsigned i = 0; i < STATE_REACTORS_MAX; i++)
        *state_lasting(i) = 0;
    for (unsigned i = 0; i <= d->data_count; i++)
        d->reactors[i]->lasting = state_lasting(i);
}

bool daemon_engine_nothing_lasts(const struct daemon *d)
{
    const struct state_head *head = state_head();
    struct state_head ours = layout(d);
    bool lasts = !d->resume || memcmp(head, &ours, sizeof(ours)) != 0;
    for (unsigned i = 0; i < STATE_REACTORS_MAX; i++)
        lasts = lasts || *state_lasting(i) != 0;
    return !lasts;
}

static void begin(struct daemon *d)
{
    struct arena *state = &arena_table[ARENA_STATE];
    struct state_head *head = (struct state_head *)state->base, ours = layout(d);
    bool fits = d->resume && !memcmp(head, &ours, sizeof(ours));
    if (fits && d->failures < THAW_CRASHES_MAX)
        return;
    if (fits)
        log_error("handover", "workers keep dying: sessions are not resumed deaths=%u",
                  d->failures);
    else if (d->resume)
        log_notice("handover", "the state memory has another layout: sessions are not resumed");
    d->resume = false;
    madvise(state->base, state->bytes, MADV_REMOVE);
    *head = ours;
}

void daemon_engine_begin(struct daemon *d)
{
    begin(d);
    count_anew(d);
}

static int create_reactor(struct daemon *d, unsigned i)
{
    bool login = i == d->data_count;
    char name[16], pool[STATE_NAME_MAX];
    snprintf(name, sizeof(name), login ? "hf-login" : "hf-data-%u", i);
    struct reactor_options options = {
        .name = name,
        .index = i,
        .cpu = -1,
        .nice = login ? LOGIN_NICE : 0,
        .busy_poll_ns = login ? 0 : d->config->daemon.busy_poll_ns,
        .tombstone_fd = d->args->tombstone_fd,
    };
    int r = reactor_create(&options, &d->reactors[i]);
    if (r < 0) {
        log_error("daemon", "%s", ring_refusal_text(r));
        return r;
    }
    struct state_head head = layout(d);
    uint64_t bytes;
    daemon_engine_pool(d,
                       &(struct image_head){ .reactors = head.reactors, .pool_mib = head.pool_mib },
                       i, pool, &bytes);
    r = map(d, ARENA_POOL_FIRST + i, pool, bytes, NULL);
    if (r < 0)
        return r;
    r = bufpool_create(d->reactors[i], ARENA_POOL_FIRST + i, &d->pools[i]);
    if (r < 0) {
        log_error("daemon", "no buffer pool error=\"%s\"", g_strerror(-r));
        return r;
    }
    engine_init(&d->engines[i], d->reactors[i]);
    d->engine_list[i] = &d->engines[i];
    return 0;
}

int daemon_engine_create(struct daemon *d)
{
    unsigned n = d->config->daemon.reactors;
    if (!n)
        n = MIN(MAX(cpus(), 1u), REACTORS_AUTO_MAX);
    d->data_count = n;
    d->reactors = g_new0(struct reactor *, n + 1);
    d->pools = g_new0(struct bufpool *, n + 1);
    d->engines = g_new0(struct engine, n + 1);
    d->engine_list = g_new0(struct engine *, n + 1);
    if (map_state(d) < 0)
        return -1;
    for (unsigned i = 0; i <= n; i++)
        if (create_reactor(d, i) < 0)
            return -1;
    for (unsigned i = 0; i <= n; i++) {
        d->engines[i].all = d->engine_list;
        d->engines[i].all_count = n; /* resets concern the data reactors */
    }
    int r = pool_create("hf-pool", POOL_THREADS, &d->pool);
    if (r < 0)
        log_error("daemon", "no thread pool error=\"%s\"", g_strerror(-r));
    return r < 0 ? -1 : 0;
}

/*
 * What an earlier worker left in the state memory is mapped here before its sessions wait for this worker: every
 * page costs a fault otherwise. What was never written has no page, and gets none.
 */
static void map_what_is_there(const struct arena *state)
{
    off_t at = 0, end;
    while ((at = lseek(state->fd, at, SEEK_DATA)) >= 0 &&
           (end = lseek(state->fd, at, SEEK_HOLE)) > at) {
        if (madvise(state->base + at, (size_t)(end - at), MADV_POPULATE_WRITE) < 0)
            return; /* an old kernel, or no memory: page by page, then */
        at = end;
    }
}

int daemon_engine_prepare(struct daemon *d)
{
    if (d->resume)
        map_what_is_there(&arena_table[ARENA_STATE]);
    for (unsigned i = 0; i < d->data_count; i++)
        scsi_scratch_reserve(d->reactors[i]);
    for (unsigned i = 0; i <= d->data_count; i++) {
        int r = reactor_prepare(d->reactors[i]);
        if (r < 0) {
            log_error("daemon", "reactor does not start error=\"%s\"", g_strerror(-r));
            return -1;
        }
    }
    return 0;
}

void daemon_engine_go(struct daemon *d)
{
    for (unsigned i = 0; i <= d->data_count; i++)
        reactor_go(d->reactors[i]);
}

void daemon_engine_stop(struct daemon *d)
{
    for (unsigned i = 0; d->reactors && i <= d->data_count; i++)
        if (d->reactors[i])
            reactor_stop(d->reactors[i]);
}

void daemon_engine_free(struct daemon *d)
{
    d->pool = pool_destroy(d->pool);
    for (unsigned i = 0; d->reactors && i <= d->data_count; i++) {
        d->pools[i] = bufpool_destroy(d->pools[i]);
        if (d->reactors[i])
            d->reactors[i] = reactor_free(d->reactors[i]);
    }
    g_free(d->reactors);
    g_free(d->pools);
    g_free(d->engines);
    g_free(d->engine_list);
}
