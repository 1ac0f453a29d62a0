/* SPDX-License-Identifier: BSD-3-Clause */
/* SANITIZE: what it leaves, whom it keeps away, and that nothing but its end ends it. */
#include "rig.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define BYTES (2048u * 512u)
#define PIECE 32768u

static struct rig rig;
static int memfd = -1;
static char *directory;
static uint8_t list[4 + 512];

static int memfd_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed)
{
    *ret_existed = memfd >= 0;
    if (memfd < 0)
        memfd = arena_create_fd("keep", bytes);
    *ret_fd = dup(memfd);
    return 0;
}

static struct scsi_services services = { .reactors = &rig.reactor, .memfd_get = memfd_get };

static void start(uint32_t features, uint32_t granule)
{
    services.state_directory = directory;
    services.area = scsi_keep_area_free(services.area);
    g_assert_cmpint(scsi_keep_area_open(&services, 1, &services.area), ==, 0);
    rig_setup(&rig,
              &(struct disk_options){ .features = features, .granule = granule, .max_io = PIECE },
              &(struct scsi_unit_config){ .services = &services });
    disk_fill(rig.disk, 5);
}

static void stop(void)
{
    sanitize_stop(rig.unit);
    rig_turn(&rig);
    rig_teardown(&rig);
}

/* The keeper's memory is gone. */
static void forget(void)
{
    close(memfd);
    memfd = -1;
}

/* Does not wait for the end of the job. */
static struct task *sanitize(uint8_t byte1, uint32_t bytes)
{
    uint8_t cdb[16] = { 0x48, byte1 };
    struct ask ask = { .cdb = cdb, .out = bytes != 0, .expected = bytes, .data = list };

    put_be16(cdb + 7, (uint16_t)bytes);
    return task_run(&rig, &ask);
}

static void set_list(uint8_t byte0, const void *pattern, uint16_t bytes)
{
    memset(list, 0, sizeof(list));
    list[0] = byte0;
    put_be16(list + 2, bytes);
    memcpy(list + 4, pattern, bytes);
}

static struct task *tur(void)
{
    return ask_none(&rig, CDB(0x00));
}

static void expect_zeroes(void)
{
    for (uint32_t at = 0; at < BYTES; at++)
        g_assert_cmphex(rig.disk->data[at], ==, 0);
}

static void erasing(void)
{
    static const uint32_t features[] = { THIN_FEATURES, BACKEND_FEATURE_WRITE_ZEROES, 0,
                                         BACKEND_FEATURE_VOLATILE_CACHE };

    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        for (uint8_t action = 2; action <= 3; action++) {
            start(features[i], 4096);
            struct task *t = sanitize(action, 0);
            g_assert_false(t->ended);
            rig_turn(&rig);
            expect_good(t);
            expect_zeroes();
            if (features[i] & BACKEND_FEATURE_UNMAP)
                g_assert_cmpuint(rig.disk->mapped[BYTES / 4096 - 1], ==, 0);
            if (features[i] & BACKEND_FEATURE_VOLATILE_CACHE)
                g_assert_cmpuint(rig.disk->log[rig.disk->log_count - 1].op, ==, BACKEND_FLUSH);
            expect_good(tur());
            task_free(t);
            stop();
            forget();
        }
    }
}

static void overwriting(void)
{
    static const uint16_t lengths[] = { 512, 256, 4, 3, 1 };
    uint8_t pattern[512];

    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 5 + 1);
    for (unsigned n = 0; n < G_N_ELEMENTS(lengths); n++) {
        bool invert = n & 1;
        start(0, 0);
        set_list(invert ? 0x82 : 0x01, pattern,
                 lengths[n]); /* of two passes the last is inverted */
        struct task *t = sanitize(1, 4u + lengths[n]);
        rig_turn(&rig);
        expect_good(t);
        for (uint32_t at = 0; at < BYTES; at++) {
            uint8_t expected = pattern[at % 512 % lengths[n]];
            g_assert_cmphex(rig.disk->data[at], ==, invert ? (uint8_t)~expected : expected);
        }
        g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, BYTES / PIECE * (invert ? 2 : 1));
        task_free(t);
        stop();
        forget();
    }
}

static void expect_refused(struct task *t, uint16_t asc)
{
    expect_check(t, SENSE_ILLEGAL_REQUEST, asc);
    task_free(t);
}

static void what_is_wrong_begins_nothing(void)
{
    uint8_t cdb[16] = { 0x48, 0x02 };

    start(THIN_FEATURES, 0);
    set_list(1, "abcd", 4);
    expect_refused(sanitize(0x42, 0), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x00, 0), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x04, 0), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x02, 8), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x03, 8), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x1f, 8), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x01, 0), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x01, 4), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x01, 517), ASC_INVALID_FIELD_IN_CDB);
    expect_refused(sanitize(0x01, 9), ASC_INVALID_FIELD_IN_LIST); /* not the pattern's length */
    set_list(0, "abcd", 4);
    expect_refused(sanitize(0x01, 8), ASC_INVALID_FIELD_IN_LIST); /* no pass */
    for (unsigned i = 2; i < 7; i++) {
        cdb[i] = 1;
        expect_check(ask_none(&rig, cdb), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        cdb[i] = 0;
    }
    struct task *t = sanitize(0x1f, 0); /* nothing has failed */
    expect_good(t);
    task_free(t);
    expect_good(tur());
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    stop();
    forget();
}

static void expect_sanitizing(const struct task *t)
{
    expect_check(t, SENSE_NOT_READY, ASC_SANITIZE_IN_PROGRESS);
    g_assert_cmphex(t->cmd.sense[15], ==, 0x80); /* SKSV */
}

/* One I/O of the job, and what follows. */
static void one_piece(void)
{
    disk_release(rig.disk);
    rig_turn(&rig);
}

static void others_are_kept_out_and_told(void)
{
    static const uint8_t data[1024];
    struct ask ask = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 1), .out = true, .expected = 512, .data = data
    };

    start(0, 0);
    rig.disk->hold = true;
    struct task *late = task_start(&rig, &ask), *early = task_run(&rig, &ask);
    struct task *t = sanitize(0x82, 0); /* IMMED */
    struct task *waiting = task_run(&rig, &ask), *second = sanitize(0x02, 0);
    g_assert_false(t->ended || early->ended || waiting->ended); /* for what is under way */
    expect_good(tur());
    one_piece();
    expect_good(early);
    expect_good(t);
    expect_sanitizing(waiting); /* what waited for it is too late */
    expect_sanitizing(second);
    task_execute(late);
    expect_sanitizing(late);
    expect_sanitizing(tur());
    expect_sanitizing(ask_none(&rig, CDB(0x1b)));
    expect_sanitizing(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    expect_sanitizing(ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 255), 255));
    expect_good(ask_in(&rig, CDB(0x12, 0, 0, 0, 36), 36));
    expect_good(ask_in(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255), 255));
    expect_good(ask_in(&rig, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 8), 8));
    for (unsigned i = 0; i < BYTES / PIECE / 2; i++)
        one_piece();
    struct task *sense = ask_in(&rig, CDB(0x03, 0, 0, 0, 18), 18);
    expect_good(sense);
    g_assert_cmphex(get_be16(sense->in + 12), ==, ASC_SANITIZE_IN_PROGRESS);
    g_assert_cmpuint(get_be16(sense->in + 16), ==, 0x8000); /* half of it */
    rig.disk->hold = false;
    one_piece();
    expect_good(tur());
    g_assert_cmpuint(atomic_load(&rig.unit->ranges.exclusive), ==, 0);
    task_free(t);
    task_free(late);
    task_free(early);
    task_free(waiting);
    task_free(second);
    stop();
    forget();
}

static void nothing_ends_it(void)
{
    start(0, 0);
    rig.disk->hold = true;
    struct task *t = sanitize(0x02, 0);
    rig_turn(&rig);
    g_assert_cmpuint(scsi_sanitize_resting(), ==, 1);
    scsi_abort(&t->cmd); /* the command, not the job */
    g_assert_true(t->ended);
    g_assert_cmpuint(scsi_sanitize_resting(), ==, 0);
    scsi_unit_reset(rig.unit, false);
    scsi_unit_abort_all(rig.unit, NULL);
    scsi_nexus_gone(rig.a);
    expect_unit_attention(tur(), ASC_DEVICE_RESET);
    expect_sanitizing(tur());
    rig.disk->hold = false;
    one_piece();
    expect_good(tur());
    expect_zeroes();
    task_free(t);
    stop();
    forget();
}

/* The disk is a new one each time: what is asked of it tells where the job went on. */
static void it_goes_on_after_a_death(void)
{
    start(0, 0);
    rig.disk->hold = true;
    struct task *t = sanitize(0x82, 0);
    rig_turn(&rig);
    expect_good(t);
    g_assert_cmpuint(scsi_sanitize_resting(), ==, 0); /* IMMED: it waits for nothing */
    for (unsigned i = 0; i < 5; i++)
        one_piece();
    sanitize_stop(rig.unit);
    one_piece();
    task_free(t);
    stop();

    start(0, 0); /* another worker */
    rig.disk->hold = true;
    rig_turn(&rig);
    expect_sanitizing(tur());
    g_assert_cmpuint(rig.disk->log[0].offset, ==, 6 * PIECE);
    sanitize_stop(rig.unit);
    one_piece();
    stop();
    forget();

    start(0, 0); /* after a power loss: from the beginning */
    expect_sanitizing(tur());
    rig_turn(&rig);
    expect_good(tur());
    expect_zeroes();
    stop();
    forget();

    start(0, 0); /* and then it is over */
    rig_turn(&rig);
    expect_good(tur());
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    stop();
    forget();
}

static void fail_once(uint8_t byte1)
{
    start(0, 0);
    rig.disk->fail_op = BACKEND_WRITE;
    rig.disk->fail_result = -EIO;
    rig.disk->fail_after = 3;
    struct task *t = sanitize(byte1, 0);
    rig_turn(&rig);
    rig.disk->fail_op = -1;
    expect_check(t, SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED);
    task_free(t);
    expect_check(tur(), SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED);
    expect_good(ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 255), 255));
}

static void a_failure_lasts(void)
{
    fail_once(0x02);
    stop();
    forget(); /* also over a power loss */
    start(0, 0);
    expect_check(tur(), SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED);
    expect_refused(sanitize(0x1f, 0), ASC_INVALID_FIELD_IN_CDB); /* AUSE was 0 */
    struct task *t = sanitize(0x02, 0);                          /* a second attempt */
    rig_turn(&rig);
    expect_good(t);
    expect_good(tur());
    task_free(t);
    stop();
    forget();

    fail_once(0x22); /* AUSE */
    t = sanitize(0x1f, 0);
    rig_turn(&rig);
    expect_good(t);
    expect_good(tur());
    task_free(t);
    stop();
    forget();
}

/* A command at rest is answered by its job, and at rest no more. */
static void who_waits_is_at_rest(void)
{
    start(0, 0);
    rig.disk->hold = true;
    struct task *t = sanitize(0x02, 0);
    rig_turn(&rig);
    g_assert_cmpuint(scsi_sanitize_resting(), ==, 1);
    g_assert_false(t->ended);
    rig.disk->hold = false;
    one_piece();
    rig_turn(&rig);
    expect_good(t);
    g_assert_cmpuint(scsi_sanitize_resting(), ==, 0);
    task_free(t);
    stop();
    forget();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("hf-sanitize-XXXXXX", NULL);
    g_test_add_func("/scsi/sanitize/erase", erasing);
    g_test_add_func("/scsi/sanitize/overwrite", overwriting);
    g_test_add_func("/scsi/sanitize/wrong", what_is_wrong_begins_nothing);
    g_test_add_func("/scsi/sanitize/kept-out", others_are_kept_out_and_told);
    g_test_add_func("/scsi/sanitize/nothing-ends", nothing_ends_it);
    g_test_add_func("/scsi/sanitize/goes-on", it_goes_on_after_a_death);
    g_test_add_func("/scsi/sanitize/failure", a_failure_lasts);
    g_test_add_func("/scsi/sanitize/at-rest", who_waits_is_at_rest);
    int r = g_test_run();
    g_autofree char *below = g_build_filename(directory, "sanitize", NULL);
    g_autofree char *beside = g_build_filename(directory, "reservations", NULL);
    g_rmdir(below);
    g_rmdir(beside);
    g_rmdir(directory);
    g_free(directory);
    return r;
}
