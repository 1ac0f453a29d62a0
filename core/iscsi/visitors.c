/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sets of numbers and their files; see visitors.h. What the pool's threads need (the file that grows) is an
 * object of its own, which lives until the last of their jobs has ended.
 */
#include "iscsi/visitors.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "iscsi/wire.h"
#include "reactor/pool.h"
#include "scsi/state_file.h"

#define FOLDER "visitors"
#define NEWER  "newer"
#define OLDER  "older"

struct files {
    int references; /* atomic */
    GMutex lock;    /* of what follows, among the pool's threads */
    int fd;         /* of the newer one, for appending; -1: it could not be opened */
    bool complained;
    char *newer, *older;
};

struct visitors {
    struct pool *pool;
    struct files *files;       /* NULL: nothing is kept */
    GHashTable *newer, *older; /* sets of numbers */
};

struct append {
    struct pool_job job;
    struct files *files;
    uint64_t number;
    bool full; /* a new file begins with it */
};

static struct files *files_unref(struct files *f)
{
    if (f && g_atomic_int_dec_and_test(&f->references)) {
        if (f->fd >= 0)
            close(f->fd);
        g_mutex_clear(&f->lock);
        g_free(f->newer);
        g_free(f->older);
        g_free(f);
    }
    return NULL;
}

static int open_newer(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static void complain(struct files *f, int error)
{
    if (!f->complained)
        log_warning("iscsi", "who has been here is not written down file=%s error=\"%s\"", f->newer,
                    g_strerror(error));
    f->complained = true;
}

/* ---- on the pool ---- */

static void begin_again(struct files *f)
{
    if (rename(f->newer, f->older) < 0) {
        complain(f, errno);
        return;
    }
    close(f->fd);
    f->fd = open_newer(f->newer);
    if (f->fd < 0)
        complain(f, -f->fd);
}

static void append_run(struct pool_job *job)
{
    struct append *a = container_of(job, struct append, job);
    struct files *f = a->files;
    g_mutex_lock(&f->lock);
    if (a->full)
        begin_again(f);
    if (f->fd >= 0) {
        ssize_t n = write(f->fd, &a->number, sizeof(a->number));
        if (n != sizeof(a->number))
            complain(f, n < 0 ? errno : ENOSPC);
    }
    g_mutex_unlock(&f->lock);
}

static void append_done(struct pool_job *job)
{
    struct append *a = container_of(job, struct append, job);
    files_unref(a->files);
    g_free(a);
}

/* ---- numbers ---- */

uint64_t visitors_number(const char *initiator, const uint8_t *isid, const char *target,
                         uint16_t portal_group_tag)
{
    uint64_t h = hash_bytes(UINT64_C(0x766973697473), isid, ISCSI_ISID_BYTES);
    h = hash_bytes(h, initiator, strlen(initiator) + 1);
    h = hash_bytes(h, target, strlen(target) + 1);
    h = hash_bytes(h, &portal_group_tag, sizeof(portal_group_tag));
    return h ? h : 1;
}

static bool set_has(GHashTable *set, uint64_t number)
{
    return g_hash_table_contains(set, GSIZE_TO_POINTER(number));
}

bool visitors_is_new(const struct visitors *v, uint64_t number)
{
    return v && v->files && !set_has(v->newer, number) && !set_has(v->older, number);
}

void visitors_add(struct visitors *v, uint64_t number)
{
    if (!v || !v->files || set_has(v->newer, number))
        return;
    struct append *a = g_new0(struct append, 1);
    a->files = v->files;
    a->number = number;
    a->full = g_hash_table_size(v->newer) >= VISITORS_A_FILE;
    a->job = (struct pool_job){ .run = append_run, .done = append_done };
    if (a->full) {
        g_hash_table_unref(v->older);
        v->older = v->newer;
        v->newer = g_hash_table_new(g_direct_hash, g_direct_equal);
    }
    g_hash_table_add(v->newer, GSIZE_TO_POINTER(number));
    g_atomic_int_inc(&v->files->references);
    pool_submit(v->pool, &a->job);
}

/* ---- the beginning ---- */

/* 0 or negative errno; a file that is not there has no numbers. */
static int load(const char *path, GHashTable *set)
{
    size_t most = VISITORS_A_FILE * sizeof(uint64_t);
    g_autofree uint64_t *numbers = g_malloc(most);
    int n = state_file_load(path, (uint8_t *)numbers, most);
    if (n < 0)
        return n == -ENOENT ? 0 : n;
    for (size_t i = 0; i < (size_t)n / sizeof(*numbers); i++)
        g_hash_table_add(set, GSIZE_TO_POINTER(numbers[i]));
    return 0;
}

/* The end of a write that was cut short is taken off: numbers stand at multiples of their size. */
static int cut(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    off_t odd = bytes % (off_t)sizeof(uint64_t);
    return bytes < 0 || (odd && ftruncate(fd, bytes - odd) < 0) ? -errno : 0;
}

static int open_files(struct visitors *v, const char *state_directory)
{
    g_autofree char *folder = g_build_filename(state_directory, FOLDER, NULL);
    struct files *f = g_new0(struct files, 1);
    f->references = 1;
    g_mutex_init(&f->lock);
    f->newer = g_build_filename(folder, NEWER, NULL);
    f->older = g_build_filename(folder, OLDER, NULL);
    int r = state_file_prepare(f->newer);
    f->fd = r < 0 ? r : open_newer(f->newer);
    r = f->fd < 0 ? f->fd : cut(f->fd);
    if (r == 0)
        r = load(f->newer, v->newer);
    if (r == 0)
        r = load(f->older, v->older);
    v->files = r == 0 ? f : files_unref(f);
    return r;
}

int visitors_open(const char *state_directory, struct pool *pool, struct visitors **ret_visitors)
{
    struct visitors *v = g_try_new0(struct visitors, 1);
    if (!v)
        return -ENOMEM;
    v->pool = pool;
    v->newer = g_hash_table_new(g_direct_hash, g_direct_equal);
    v->older = g_hash_table_new(g_direct_hash, g_direct_equal);
    int r = state_directory && pool ? open_files(v, state_directory) : 0;
    if (r < 0)
        log_warning("iscsi",
                    "who has been here is not known, nobody is taken for new state-directory=%s "
                    "error=\"%s\"",
                    state_directory, g_strerror(-r));
    *ret_visitors = v;
    return 0;
}

struct visitors *visitors_close(struct visitors *v)
{
    if (!v)
        return NULL;
    files_unref(v->files);
    g_hash_table_unref(v->newer);
    g_hash_table_unref(v->older);
    g_free(v);
    return NULL;
}
