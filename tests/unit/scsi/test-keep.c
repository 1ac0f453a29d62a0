/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What outlives a worker and what outlives a power loss: reservation records, the APTPL file killed at
 * every system call of its writing, the keep memory. A worker's death is a unit that is freed and made
 * again over the same memfd; a power loss leaves only the file.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scsi/reservation_record.h"
#include "scsi/state_file.h"

/* ---- the calls of the file code, of which one may be the last (--wrap) ---- */

static int calls_left = -1; /* the process dies at this call; -1: never */

static bool dies(void)
{
    return calls_left >= 0 && calls_left-- == 0;
}

#define WRAPPED(result, name, parameters, arguments)                                               \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        if (dies())                                                                                \
            raise(SIGKILL);                                                                        \
        return __real_##name arguments;                                                            \
    }
WRAPPED(int, fsync, (int fd), (fd))
WRAPPED(int, rename, (const char *from, const char *to), (from, to))
WRAPPED(int, unlink, (const char *path), (path))
WRAPPED(int, close, (int fd), (fd))

ssize_t __real_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
    if (dies()) {
        (void)!__real_write(fd, data, bytes / 2);
        raise(SIGKILL);
    }
    return __real_write(fd, data, bytes);
}

/* ---- records ---- */

static struct pr_table *table_of(unsigned count, uint8_t type, bool aptpl)
{
    struct pr_table *t = pr_table_new();

    t->sequence = 77 + count;
    t->generation = 5;
    t->aptpl = aptpl;
    t->count = count;
    t->registrations = g_new0(struct pr_registration, count);
    for (unsigned i = 0; i < count; i++) {
        struct pr_registration *r = &t->registrations[i];
        r->key = 1000 + i;
        r->name.tag = (uint16_t)(1 + i % 3);
        g_snprintf(r->name.port, sizeof(r->name.port), "iqn.2026-11.org.example:host%u,i,0x%012x", i, i);
    }
    t->type = type;
    t->holder = type && !pr_all_registrants(type) ? (int)count / 2 : -1;
    return t;
}

static void expect_equal(const struct pr_table *a, const struct pr_table *b)
{
    g_assert_cmpuint(a->sequence, ==, b->sequence);
    g_assert_cmpuint(a->generation, ==, b->generation);
    g_assert_cmpint(a->aptpl, ==, b->aptpl);
    g_assert_cmpuint(a->type, ==, b->type);
    g_assert_cmpint(a->holder, ==, b->holder);
    g_assert_cmpuint(a->count, ==, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        g_assert_cmphex(a->registrations[i].key, ==, b->registrations[i].key);
        g_assert_cmpuint(a->registrations[i].name.tag, ==, b->registrations[i].name.tag);
        g_assert_cmpstr(a->registrations[i].name.port, ==, b->registrations[i].name.port);
    }
}

static void a_record_is_read_as_it_was_written(void)
{
    static uint8_t record[PR_RECORD_BYTES_MAX];
    static const uint8_t types[] = { 0, 1, 3, 5, 6, 7, 8 };

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        struct pr_table *t = table_of(types[i] ? PR_REGISTRATIONS_MAX : 0, types[i], i & 1), *u = NULL;
        size_t bytes = pr_record_write(t, record);
        g_assert_cmpuint(bytes, <=, sizeof(record));
        g_assert_cmpint(pr_record_read(record, sizeof(record), &u), ==, 0);
        expect_equal(t, u);
        pr_table_free(t);
        pr_table_free(u);
    }
}

static void add_events(struct pr_table *t, unsigned count)
{
    t->serial = 7 + count;
    t->event_count = count;
    t->events = g_new0(struct pr_event, count);
    for (unsigned i = 0; i < count; i++) {
        struct pr_event *e = &t->events[i];
        e->serial = 7 + i;
        e->asc = 0x2a03;
        e->name.tag = (uint16_t)(i % 3);
        memset(e->name.port, 'e', i % 2 ? PR_PORT_MAX - 1 : 1);
    }
}

static void events_are_behind_the_record(void)
{
    static const unsigned counts[] = { 0, 1, PR_EVENTS_MAX };
    g_autofree uint8_t *whole = g_malloc0(PR_WHOLE_BYTES_MAX);

    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        struct pr_table *t = table_of(PR_REGISTRATIONS_MAX, 5, true), *u = NULL, *known = NULL;
        add_events(t, counts[i]);
        size_t bytes = pr_whole_write(t, whole);
        g_assert_cmpuint(bytes, <=, PR_WHOLE_BYTES_MAX);
        g_assert_cmpint(pr_whole_read(whole, bytes, &u), ==, 0);
        expect_equal(t, u);
        g_assert_cmpuint(u->serial, ==, t->serial);
        g_assert_cmpuint(u->event_count, ==, counts[i]);
        for (unsigned e = 0; e < counts[i]; e++) {
            g_assert_cmpuint(u->events[e].serial, ==, 7 + e);
            g_assert_cmphex(u->events[e].asc, ==, 0x2a03);
            g_assert_cmpuint(u->events[e].name.tag, ==, e % 3);
            g_assert_cmpstr(u->events[e].name.port, ==, t->events[e].name.port);
        }
        g_assert_cmpint(pr_record_read(whole, bytes, &known), ==, 0); /* who knows no events */
        expect_equal(t, known);
        pr_table_free(t);
        pr_table_free(u);
        pr_table_free(known);
    }
}

static void damaged_events_are_none(void)
{
    static uint8_t whole[PR_WHOLE_BYTES_MAX];
    struct pr_table *t = table_of(3, 5, true), *u = NULL;

    add_events(t, 3);
    size_t record = pr_record_write(t, whole), bytes = pr_whole_write(t, whole);
    for (size_t i = record; i < bytes; i++) {
        g_assert_cmpint(pr_whole_read(whole, i, &u), ==, 0);
        g_assert_cmpuint(u->event_count, ==, 0);
        pr_table_free(u);
        whole[i] ^= 0x20;
        g_assert_cmpint(pr_whole_read(whole, bytes, &u), ==, 0);
        g_assert_cmpuint(u->event_count, ==, 0);
        pr_table_free(u);
        whole[i] ^= 0x20;
    }
    pr_table_free(t);
}

static void a_damaged_record_is_refused(void)
{
    static uint8_t record[PR_RECORD_BYTES_MAX];
    struct pr_table *t = table_of(3, 5, true), *u = NULL;
    size_t bytes = pr_record_write(t, record);

    for (size_t i = 0; i < bytes; i++) {
        g_assert_cmpint(pr_record_read(record, i, &u), ==, -EBADMSG);
        record[i] ^= 0x20;
        g_assert_cmpint(pr_record_read(record, bytes, &u), <, 0);
        record[i] ^= 0x20;
    }
    g_assert_null(u);
    pr_table_free(t);
}

/* ---- the file, killed ---- */

static char *directory;

static char *path_in_directory(void)
{
    return state_file_path(directory, "reservations", "iqn.2026-11.org.example:disk1", 3);
}

/* Runs `what` in a child that dies at its call number `at`. True: it was done before. */
static bool killed_at(int at, int (*what)(const char *path, const struct pr_table *table),
                      const char *path, const struct pr_table *table)
{
    int status;
    pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        calls_left = at;
        int r = what(path, table);
        calls_left = -1;
        _exit(r == 0 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status))
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    else
        g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
    return WIFEXITED(status);
}

static int remove_it(const char *path, const struct pr_table *table)
{
    return state_file_remove(path);
}

/* After each death the file holds one of the two. `before` NULL: there was none. */
static unsigned every_point(const char *path, const struct pr_table *before,
                            const struct pr_table *after)
{
    bool done = false;
    int at = 0;

    for (; !done; at++) {
        struct pr_table *found = NULL;
        if (before)
            g_assert_cmpint(pr_file_save(path, before), ==, 0);
        else
            g_assert_cmpint(state_file_remove(path), ==, 0);
        done = killed_at(at, after ? pr_file_save : remove_it, path, after);
        int r = pr_file_load(path, &found);
        const struct pr_table *expected = done ? after : NULL;
        if (r == -ENOENT) {
            g_assert_true(done ? !after : !before || !after);
        } else {
            g_assert_cmpint(r, ==, 0);
            if (!expected)
                expected = before && found->sequence == before->sequence ? before : after;
            g_assert_nonnull(expected);
            expect_equal(found, expected);
        }
        pr_table_free(found);
    }
    return (unsigned)at;
}

static void a_crash_leaves_the_old_or_the_new(void)
{
    g_autofree char *path = path_in_directory();
    struct pr_table *old = table_of(2, 1, true), *new = table_of(200, 5, true);

    g_assert_cmpint(state_file_prepare(path), ==, 0);
    unsigned points = every_point(path, old, new);
    g_test_message("%u points", points);
    g_assert_cmpuint(points, >, 5);
    every_point(path, new, old);
    every_point(path, NULL, new);
    g_assert_cmpuint(every_point(path, old, NULL), >, 2);
    g_assert_cmpint(state_file_remove(path), ==, 0);
    pr_table_free(old);
    pr_table_free(new);
}

static void a_directory_that_cannot_be_written_is_noticed(void)
{
    struct pr_table *t = table_of(1, 0, true);

    g_assert_cmpint(state_file_prepare("/proc/nothing/reservations/x"), <, 0);
    g_assert_cmpint(pr_file_save("/proc/nothing/reservations/x", t), <, 0);
    pr_table_free(t);
}

static void many_units_find_what_is_there_and_what_is_saved_meanwhile(void)
{
    static const uint8_t data[] = { 1, 2, 3 };
    uint8_t back[8];
    g_autofree char *home = g_dir_make_tmp("holdfast-many-XXXXXX", NULL);
    g_autofree char *before = state_file_path(home, "stopped", TARGET_NAME, 1);
    g_autofree char *later = state_file_path(home, "stopped", TARGET_NAME, 2);
    g_autofree char *never = state_file_path(home, "stopped", TARGET_NAME, 3);
    g_autofree char *elsewhere = state_file_path(home, "identity", TARGET_NAME, 1);
    g_autofree char *stopped = g_path_get_dirname(before);
    g_assert_cmpint(state_file_prepare(before), ==, 0);
    g_assert_cmpint(state_file_save(before, data, sizeof(data)), ==, 0);

    state_file_many_begin();
    g_assert_cmpint(state_file_prepare(before), ==, 0);
    g_assert_cmpint(state_file_load(before, back, sizeof(back)), ==, sizeof(data));
    g_assert_cmpint(state_file_load(later, back, sizeof(back)), ==, -ENOENT);
    g_assert_cmpint(state_file_load(elsewhere, back, sizeof(back)), ==, -ENOENT);
    g_assert_cmpint(state_file_save(later, data, sizeof(data)), ==, 0);
    g_assert_cmpint(state_file_load(later, back, sizeof(back)), ==, sizeof(data));
    g_assert_cmpint(state_file_load(never, back, sizeof(back)), ==, -ENOENT);
    g_assert_cmpint(state_file_remove(never), ==, 0);
    g_assert_cmpint(state_file_remove(before), ==, 0);
    g_assert_cmpint(state_file_load(before, back, sizeof(back)), ==, -ENOENT);
    state_file_many_end();

    g_assert_cmpint(state_file_load(later, back, sizeof(back)), ==, sizeof(data));
    g_assert_cmpint(state_file_remove(later), ==, 0);
    g_assert_cmpint(g_rmdir(stopped), ==, 0);
    g_assert_cmpint(g_rmdir(home), ==, 0);
}

/* ---- units ---- */

static struct rig rig;
static int memfd = -1;

static int memfd_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed)
{
    g_assert_true(g_str_has_prefix(name, "keep:units:"));
    *ret_existed = memfd >= 0;
    if (memfd < 0)
        memfd = arena_create_fd("keep", bytes);
    g_assert_cmpint(ftruncate(memfd, (off_t)bytes), ==, 0);
    *ret_fd = dup(memfd);
    return 0;
}

static struct scsi_services services = { .reactors = &rig.reactor, .memfd_get = memfd_get };

static void start(void)
{
    services.state_directory = directory;
    services.area = scsi_keep_area_free(services.area);
    g_assert_cmpint(scsi_keep_area_open(&services, 1, &services.area), ==, 0);
    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE },
              &(struct scsi_unit_config){ .services = &services });
}

static void worker_dies(void)
{
    rig_teardown(&rig);
    start();
}

static void power_fails(void)
{
    rig_teardown(&rig);
    close(memfd);
    memfd = -1;
    start();
}

static void stop(void)
{
    rig_teardown(&rig);
    close(memfd);
    memfd = -1;
}

static struct task *out(struct scsi_nexus *nexus, uint8_t action, uint8_t type, uint64_t key,
                        uint64_t action_key, uint8_t flags)
{
    static struct task *last;
    uint8_t list[24] = { 0 }, cdb[16] = { 0x5f, action, type, 0, 0, 0, 0, 0, 24 };
    struct ask ask = { .nexus = nexus, .cdb = cdb, .out = true, .expected = 24, .data = list };

    put_be64(list, key);
    put_be64(list + 8, action_key);
    list[20] = flags;
    task_free(last);
    return last = task_run(&rig, &ask);
}

static unsigned registered(uint32_t *ret_generation)
{
    struct task *t = ask_in(&rig, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 255), 255);
    expect_good(t);
    *ret_generation = get_be32(t->in);
    return get_be32(t->in + 4) / 8;
}

static uint8_t reservation_type(void)
{
    struct task *t = ask_in(&rig, CDB(0x5e, 1, 0, 0, 0, 0, 0, 0, 255), 255);
    expect_good(t);
    return get_be32(t->in + 4) ? t->in[21] : 0;
}

static void registrations_survive_as_asked(void)
{
    uint32_t generation;

    start();
    struct task *t = ask_in(&rig, CDB(0x5e, 2, 0, 0, 0, 0, 0, 0, 8), 8);
    g_assert_cmphex(t->in[2], ==, 0x0d); /* PTPL_C */
    expect_good(out(rig.a, PR_REGISTER, 0, 0, 11, 0));
    expect_good(out(rig.b, PR_REGISTER, 0, 0, 22, 0));
    expect_good(out(rig.a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, 11, 0, 0));
    worker_dies(); /* without APTPL: nobody may notice */
    g_assert_cmpuint(registered(&generation), ==, 2);
    g_assert_cmpuint(generation, ==, 2);
    g_assert_cmpuint(reservation_type(), ==, PR_EXCLUSIVE_ACCESS);
    g_assert_cmphex(ask_as(&rig, rig.b, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512)->status, ==,
                    SCSI_RESERVATION_CONFLICT);
    expect_good(ask_as(&rig, rig.a, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    power_fails();
    g_assert_cmpuint(registered(&generation), ==, 0);
    g_assert_cmpuint(reservation_type(), ==, 0);

    expect_good(out(rig.a, PR_REGISTER, 0, 0, 11, 0));
    expect_good(out(rig.b, PR_REGISTER, 0, 0, 22, 1)); /* APTPL is the unit's, for all */
    expect_good(out(rig.b, PR_RESERVE, PR_WRITE_EXCLUSIVE, 22, 0, 0));
    t = ask_in(&rig, CDB(0x5e, 2, 0, 0, 0, 0, 0, 0, 8), 8);
    g_assert_cmphex(t->in[3], ==, 0x91); /* PTPL_A */
    power_fails();
    g_assert_cmpuint(registered(&generation), ==, 2);
    g_assert_cmpuint(generation, ==, 0);
    g_assert_cmpuint(reservation_type(), ==, PR_WRITE_EXCLUSIVE);
    worker_dies();
    g_assert_cmpuint(registered(&generation), ==, 2);

    expect_good(out(rig.a, PR_REGISTER_AND_IGNORE, 0, 0, 33, 0)); /* no longer */
    worker_dies();
    g_assert_cmpuint(registered(&generation), ==, 2);
    g_assert_cmpuint(reservation_type(), ==, PR_WRITE_EXCLUSIVE);
    power_fails();
    g_assert_cmpuint(registered(&generation), ==, 0);
    stop();
}

/* The worker dies between writing the file and its own memory, in either order of being newer. */
static void file_and_memory_are_made_to_agree(void)
{
    g_autofree char *path = state_file_path(directory, "reservations", TARGET_NAME, 0);
    struct pr_table *saved = NULL;
    uint32_t generation;

    start();
    expect_good(out(rig.a, PR_REGISTER, 0, 0, 11, 1));
    g_assert_cmpint(pr_file_load(path, &saved), ==, 0);
    saved->sequence++;
    saved->registrations[0].key = 12; /* the change that was not answered any more */
    g_assert_cmpint(pr_file_save(path, saved), ==, 0);
    worker_dies();
    expect_good(out(rig.a, PR_RESERVE, 1, 12, 0, 0));
    saved = pr_table_free(saved);

    g_assert_cmpint(state_file_remove(path), ==, 0); /* APTPL was being taken back */
    worker_dies();
    g_assert_cmpint(pr_file_load(path, &saved), ==, 0);
    g_assert_cmpuint(saved->type, ==, 1);
    pr_table_free(saved);

    expect_good(out(rig.a, PR_CLEAR, 0, 12, 0, 0));
    g_assert_cmpuint(registered(&generation), ==, 0);
    stop();
}

static void what_cannot_be_saved_is_not_done(void)
{
    g_autofree char *path = state_file_path(directory, "reservations", TARGET_NAME, 0);
    g_autofree char *beside = g_strconcat(path, ".new", NULL);
    uint32_t generation;

    start();
    g_assert_cmpint(g_mkdir(beside, 0700), ==, 0); /* also root cannot open that for writing */
    expect_check(out(rig.a, PR_REGISTER, 0, 0, 11, 1), SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
    g_assert_cmpuint(registered(&generation), ==, 0);
    g_assert_cmpint(g_rmdir(beside), ==, 0);
    expect_good(out(rig.a, PR_REGISTER, 0, 0, 11, 1));
    expect_good(out(rig.a, PR_REGISTER, 0, 11, 0, 0));
    stop();
}

static void the_old_reservation_survives_its_worker(void)
{
    start();
    expect_good(ask_none(&rig, CDB(0x16)));
    worker_dies(); /* both come back with the new rig */
    expect_good(ask_as(&rig, rig.a, CDB(0x00), 0));
    g_assert_cmphex(ask_as(&rig, rig.b, CDB(0x00), 0)->status, ==, SCSI_RESERVATION_CONFLICT);
    expect_good(ask_as(&rig, rig.a, CDB(0x17), 0));
    expect_good(ask_as(&rig, rig.b, CDB(0x16), 0));
    scsi_nexus_gone(rig.b);
    expect_good(ask_as(&rig, rig.a, CDB(0x16), 0));
    power_fails();
    expect_good(ask_as(&rig, rig.b, CDB(0x00), 0));
    stop();
}

static void a_reservation_nobody_comes_back_for_expires(void)
{
    start();
    struct scsi_nexus *third = rig_nexus(&rig, INITIATOR_NAME "3", false);
    expect_good(ask_as(&rig, third, CDB(0x56), 0));
    scsi_nexus_free(third); /* the worker has died with it */
    worker_dies();
    g_assert_cmphex(ask_as(&rig, rig.b, CDB(0x00), 0)->status, ==, SCSI_RESERVATION_CONFLICT);
    g_assert_cmphex(ask_as(&rig, rig.b, CDB(0x16), 0)->status, ==, SCSI_RESERVATION_CONFLICT);
    rig.unit->home.restored_until = 0;
    expect_good(ask_as(&rig, rig.b, CDB(0x00), 0));
    expect_good(ask_as(&rig, rig.b, CDB(0x16), 0));
    stop();
}

static void mode_and_medium_survive_the_worker(void)
{
    static const uint8_t list[24] = { 0, 0, 0, 8, 0, 0, 8, 0, 0, 0, 2, 0, 0x0a, 0x0a, 0x26, 0x10, 0x08, 0, 0, 0, 0xff, 0xff };

    start();
    expect_good(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24)); /* SWP, D_SENSE */
    expect_good(ask_none(&rig, CDB(0x1b)));                          /* stopped */
    worker_dies();
    struct task *t = ask_none(&rig, CDB(0x00));
    expect_check(t, SENSE_NOT_READY, ASC_INITIALIZING_COMMAND_REQUIRED);
    g_assert_cmphex(t->cmd.sense[0], ==, 0x72);
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 1)));
    expect_check(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), list, 0), SENSE_DATA_PROTECT,
                 ASC_SOFTWARE_WRITE_PROTECTED);
    scsi_unit_reset(rig.unit, false);
    worker_dies();
    expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 0), list, 0));
    expect_good(ask_none(&rig, CDB(0x1b)));
    power_fails();
    expect_good(ask_none(&rig, CDB(0x00)));
    stop();
}

/* ---- the memory of all units ---- */

static void area_again(void)
{
    services.area = scsi_keep_area_free(services.area);
    g_assert_cmpint(scsi_keep_area_open(&services, 1, &services.area), ==, 0);
}

static void every_unit_finds_its_own(void)
{
    enum { UNITS = 300 };
    static struct scsi_keep keep[UNITS];
    struct scsi_keep other = { 0 };

    area_again();
    for (unsigned i = 0; i < UNITS; i++) {
        g_autofree char *target = g_strdup_printf("iqn.2026-11.org.example:disk%u", i / 3);
        g_assert_cmpint(scsi_keep_open(&keep[i], services.area, target, i % 3), ==, 0);
        g_assert_false(keep[i].existed);
        atomic_store(&keep[i].data->mode, 1000 + i);
        scsi_keep_counters(&keep[i])->errors = i;
    }
    /* A second one of that name is a mistake: it keeps nothing, and spoils nothing. */
    g_assert_cmpint(scsi_keep_open(&other, services.area, "iqn.2026-11.org.example:disk0", 0), ==, 0);
    g_assert_null(scsi_keep_counters(&other));
    scsi_keep_close(&other);

    area_again(); /* the worker has died */
    for (unsigned i = UNITS; i-- > 0;) {
        g_autofree char *target = g_strdup_printf("iqn.2026-11.org.example:disk%u", i / 3);
        g_assert_cmpint(scsi_keep_open(&keep[i], services.area, target, i % 3), ==, 0);
        g_assert_true(keep[i].existed);
        g_assert_cmpuint(atomic_load(&keep[i].data->mode), ==, 1000 + i);
        g_assert_cmpuint(scsi_keep_counters(&keep[i])->errors, ==, i);
    }
    /* Counters by lane make no sense to a worker with more lanes; the rest does. */
    services.area = scsi_keep_area_free(services.area);
    g_assert_cmpint(scsi_keep_area_open(&services, 2, &services.area), ==, 0);
    g_assert_cmpint(scsi_keep_open(&keep[7], services.area, "iqn.2026-11.org.example:disk2", 1), ==, 0);
    g_assert_cmpuint(atomic_load(&keep[7].data->mode), ==, 1007);
    g_assert_cmpuint(scsi_keep_counters(&keep[7])->errors, ==, 0);
    services.area = scsi_keep_area_free(services.area);
    close(memfd);
    memfd = -1;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("hf-keep-XXXXXX", NULL);
    g_assert_nonnull(directory);
    g_test_add_func("/scsi/keep/record", a_record_is_read_as_it_was_written);
    g_test_add_func("/scsi/keep/events", events_are_behind_the_record);
    g_test_add_func("/scsi/keep/events-damaged", damaged_events_are_none);
    g_test_add_func("/scsi/keep/damaged", a_damaged_record_is_refused);
    g_test_add_func("/scsi/keep/killed", a_crash_leaves_the_old_or_the_new);
    g_test_add_func("/scsi/keep/no-directory", a_directory_that_cannot_be_written_is_noticed);
    g_test_add_func("/scsi/keep/many", many_units_find_what_is_there_and_what_is_saved_meanwhile);
    g_test_add_func("/scsi/keep/registrations", registrations_survive_as_asked);
    g_test_add_func("/scsi/keep/agree", file_and_memory_are_made_to_agree);
    g_test_add_func("/scsi/keep/cannot-save", what_cannot_be_saved_is_not_done);
    g_test_add_func("/scsi/keep/reserve", the_old_reservation_survives_its_worker);
    g_test_add_func("/scsi/keep/expires", a_reservation_nobody_comes_back_for_expires);
    g_test_add_func("/scsi/keep/mode", mode_and_medium_survive_the_worker);
    g_test_add_func("/scsi/keep/area", every_unit_finds_its_own);
    int r = g_test_run();
    g_autofree char *below = g_build_filename(directory, "reservations", NULL);
    g_rmdir(below);
    g_rmdir(directory);
    g_free(directory);
    return r;
}
