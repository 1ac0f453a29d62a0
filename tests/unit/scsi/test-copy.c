/* SPDX-License-Identifier: BSD-3-Clause */
/* EXTENDED COPY: every byte where it belongs and no other changed, whoever interrupts it. */
#include "rig.h"

#include <string.h>

#include "scsi/copy.h"
#include "scsi/home.h"

#define BLOCK 512u
#define MAIN  2048u

struct bench {
    struct rig rig;
    struct disk *other_disk;
    struct scsi_unit *other; /* LUN 1 */
    uint8_t list[COPY_HEADER + COPY_DESCRIPTORS_MAX];
    uint32_t cscds, segments; /* bytes */
};

static void setup(struct bench *b, const struct disk_options *options,
                  const struct disk_options *other)
{
    memset(b, 0, sizeof(*b));
    b->rig.pool_mib = 4;
    rig_setup(&b->rig, options, NULL);
    b->other_disk = disk_new(other ? other : &(struct disk_options){ 0 });
    b->other = rig_unit(b->other_disk, 1, NULL);
    struct scsi_unit *units[] = { b->rig.unit, b->other };
    rig_publish(&b->rig, units, 2);
    ask_none(&b->rig, CDB(0)); /* a new LUN map */
    disk_fill(b->rig.disk, 1);
    disk_fill(b->other_disk, 7);
}

static void teardown(struct bench *b)
{
    struct scsi_unit *other = b->other;
    struct disk *disk = b->other_disk;

    g_assert_cmpuint(scsi_unit_active(other), ==, 0);
    rig_teardown(&b->rig);
    scsi_unit_free(other);
    disk_free(disk);
}

static void add_cscd(struct bench *b, const struct scsi_unit *unit)
{
    uint8_t *d = b->list + COPY_HEADER + b->cscds;

    d[0] = 0xe4;
    d[4] = 1;
    d[5] = 3; /* NAA */
    d[7] = unit->naa_bytes;
    memcpy(d + 8, unit->naa, unit->naa_bytes);
    b->cscds += 32;
}

static uint8_t *add_segment(struct bench *b, uint8_t type, unsigned from, unsigned to, uint64_t lba,
                            uint64_t to_lba, uint32_t count)
{
    uint8_t *d = b->list + COPY_HEADER + b->cscds + b->segments;

    d[0] = type;
    put_be16(d + 2, type == 0x02 ? 24 : 28);
    put_be16(d + 4, (uint16_t)from);
    put_be16(d + 6, (uint16_t)to);
    put_be64(d + 12, lba);
    put_be64(d + 20, to_lba);
    if (type == 0x02)
        put_be16(d + 10, (uint16_t)count);
    else
        put_be32(d + 8, count);
    b->segments += type == 0x02 ? 28 : 32;
    return d;
}

/* Both units as CSCDs 0 and 1. */
static void begin(struct bench *b, uint8_t id)
{
    memset(b->list, 0, sizeof(b->list));
    b->cscds = b->segments = 0;
    b->list[0] = id;
    add_cscd(b, b->rig.unit);
    add_cscd(b, b->other);
}

static struct task *send_by(struct bench *b, struct scsi_nexus *nexus)
{
    static uint8_t cdb[16];
    uint32_t bytes = COPY_HEADER + b->cscds + b->segments;

    put_be16(b->list + 2, (uint16_t)b->cscds);
    put_be32(b->list + 8, b->segments);
    memset(cdb, 0, sizeof(cdb));
    cdb[0] = 0x83;
    put_be32(cdb + 10, bytes);
    return task_run(&b->rig, &(struct ask){ .nexus = nexus,
                                            .cdb = cdb,
                                            .out = true,
                                            .expected = bytes,
                                            .data = b->list,
                                            .element = 512 });
}

static struct task *last;

static struct task *copy(struct bench *b)
{
    task_free(last);
    last = send_by(b, NULL);
    rig_turn(&b->rig);
    return last;
}

static uint8_t *image_of(const struct disk *disk)
{
    return g_memdup2(disk->data, disk->backend.info.bytes);
}

static void expect_image(const struct disk *disk, const uint8_t *want)
{
    for (uint64_t i = 0; i < disk->backend.info.bytes; i++)
        if (disk->data[i] != want[i])
            g_error("byte %" G_GUINT64_FORMAT " differs", i);
}

static void blocks_go_to_another_unit(void)
{
    struct bench b;

    setup(&b, NULL, NULL);
    g_autofree uint8_t *from = image_of(b.rig.disk), *to = image_of(b.other_disk);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 100, 3, 1700);
    add_segment(&b, 0x02, 0, 1, 7, 2000, 0);
    add_segment(&b, 0x02, 0, 1, 2047, 2047, 1);
    expect_good(copy(&b));
    memcpy(to + 3 * BLOCK, from + 100 * BLOCK, 1700 * BLOCK);
    memcpy(to + 2047 * BLOCK, from + 2047 * BLOCK, BLOCK);
    expect_image(b.other_disk, to);
    expect_image(b.rig.disk, from);
    last = task_free(last);
    teardown(&b);
}

/* Within one unit, forward and backward, by one block and by many. */
static void ends_that_overlap_lose_nothing(void)
{
    static const uint32_t places[][3] = {
        { 10, 11, 900 }, { 11, 10, 900 }, { 0, 700, 1300 }, { 700, 0, 1300 }, { 5, 5, 9 }
    };
    struct bench b;

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const uint32_t *p = places[i];
        setup(&b, NULL, NULL);
        g_autofree uint8_t *want = image_of(b.rig.disk);
        memmove(want + p[1] * BLOCK, want + p[0] * BLOCK, p[2] * BLOCK);
        begin(&b, 1);
        add_segment(&b, 0x02, 0, 0, p[0], p[1], p[2]);
        expect_good(copy(&b));
        expect_image(b.rig.disk, want);
        last = task_free(last);
        teardown(&b);
    }
}

static void bytes_go_anywhere(void)
{
    /* from block, offset; to block, offset; bytes */
    static const uint32_t places[][5] = { { 0, 0, 0, 1, 511 },      { 3, 17, 9, 400, 1 },
                                          { 3, 17, 9, 400, 3000 },  { 1, 511, 2, 0, 300000 },
                                          { 1, 0, 200, 3, 600001 }, { 4, 9, 7, 9, 4096 } };
    static const uint32_t sizes[][2] = { { 512, 512 }, { 512, 4096 }, { 4096, 512 } };
    struct bench b;

    for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
        uint32_t one = sizes[s][0], two = sizes[s][1];
        setup(&b, &(struct disk_options){ .block = one, .blocks = (1u << 20) / one },
              &(struct disk_options){ .block = two, .blocks = (2u << 20) / two });
        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
            const uint32_t *p = places[i];
            g_autofree uint8_t *want = image_of(b.other_disk);
            memcpy(want + p[2] * two + p[3], b.rig.disk->data + p[0] * one + p[1], p[4]);
            begin(&b, 1);
            uint8_t *d = add_segment(&b, 0x0a, 0, 1, p[0], p[2], p[4]);
            put_be16(d + 28, (uint16_t)p[1]);
            put_be16(d + 30, (uint16_t)p[3]);
            expect_good(copy(&b));
            expect_image(b.other_disk, want);
        }
        last = task_free(last);
        teardown(&b);
    }
}

static void block_sizes_have_to_fit(void)
{
    struct bench b;

    setup(&b, NULL, &(struct disk_options){ .block = 4096, .blocks = 64 });
    g_autofree uint8_t *want = image_of(b.other_disk);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 1, 2, 16);
    expect_good(copy(&b));
    memcpy(want + 2 * 4096, b.rig.disk->data + BLOCK, 16 * BLOCK);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 1, 4, 2)[1] = 0x02; /* DC: blocks of 4096 bytes */
    expect_good(copy(&b));
    memcpy(want + 4 * 4096, b.rig.disk->data + BLOCK, 2 * 4096);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 1, 2, 15);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNEXPECTED_INEXACT_SEGMENT);
    expect_image(b.other_disk, want);
    last = task_free(last);
    teardown(&b);
}

static void wrong_lists_are_refused(void)
{
    /* More CSCDs and more bytes than there may be: the length is what is told. */
    static uint8_t long_list[COPY_HEADER + COPY_DESCRIPTORS_MAX + COPY_CSCD];
    uint8_t long_cdb[16] = { 0x83 };
    struct bench b;

    setup(&b, NULL, NULL);
    put_be16(long_list + 2, (COPY_CSCDS_MAX + 1) * COPY_CSCD);
    put_be32(long_list + 8, COPY_SEGMENTS_MAX * COPY_CSCD);
    put_be32(long_cdb + 10, sizeof(long_list));
    g_autofree uint8_t *want = image_of(b.other_disk);
    expect_good(ask_out(&b.rig, CDB(0x83), NULL, 0));
    begin(&b, 1);
    b.list[COPY_HEADER] = 0xe0;
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_CSCD_TYPE);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1)[0] = 0x03;
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_SEGMENT_TYPE);
    begin(&b, 1);
    for (unsigned i = 0; i < COPY_CSCDS_MAX - 1; i++)
        add_cscd(&b, b.other);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_TOO_MANY_CSCDS);
    begin(&b, 1);
    for (unsigned i = 0; i <= COPY_SEGMENTS_MAX; i++)
        add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_TOO_MANY_SEGMENTS);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    b.segments--;
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1)[3] = 28; /* not the length of its type */
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    begin(&b, 1);
    b.cscds--;
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    expect_check(ask_out(&b.rig, long_cdb, long_list, sizeof(long_list)), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    put_be32(b.list + 12, 4); /* inline data */
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_INLINE_DATA);
    expect_image(b.other_disk, want);
    last = task_free(last);
    teardown(&b);
}

/* What goes wrong in a segment names it, and those before are done. */
static void failures_name_their_segment(void)
{
    struct bench b;

    setup(&b, NULL, NULL);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    add_segment(&b, 0x02, 0, 2, 0, 1, 1);
    struct task *t = copy(&b);
    expect_check(t, SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    g_assert_cmpuint(get_be32(t->cmd.sense + 8), ==, 1);
    g_assert_cmpmem(b.other_disk->data, BLOCK, b.rig.disk->data, BLOCK);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, MAIN - 1, 2);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_NONE);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, UINT64_MAX, 0, 2);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_NONE);
    begin(&b, 1);
    b.list[COPY_HEADER + 32 + 8 + 5]++; /* a name that no unit has */
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    b.other_disk->fail_op = BACKEND_WRITE;
    b.other_disk->fail_result = -ENOSPC;
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_SPACE_ALLOCATION_FAILED);
    last = task_free(last);
    teardown(&b);
}

/* It goes by what the sender may do at the ends, not only where the command came. */
static void reservations_and_protection_hold(void)
{
    struct bench b;
    uint64_t lun_1 = 0x0001000000000000ull;

    setup(&b, NULL, NULL);
    struct task *t =
        task_run(&b.rig, &(struct ask){ .nexus = b.rig.b, .lun = lun_1, .cdb = CDB(0) });
    task_free(t); /* the new LUN map */
    t = task_run(&b.rig, &(struct ask){ .nexus = b.rig.b, .lun = lun_1, .cdb = CDB(0x16) });
    expect_good(t);
    task_free(t);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_THIRD_PARTY_FAILURE);
    t = send_by(&b, b.rig.b); /* who holds it may */
    task_free(t->ended ? t : (rig_turn(&b.rig), t));
    t = task_run(&b.rig, &(struct ask){ .nexus = b.rig.b, .lun = lun_1, .cdb = CDB(0x17) });
    expect_good(t);
    task_free(t);
    atomic_fetch_or(&b.other->mode, SCSI_MODE_SWP);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_THIRD_PARTY_FAILURE);
    atomic_fetch_and(&b.other->mode, ~SCSI_MODE_SWP);
    expect_good(copy(&b));
    last = task_free(last);
    teardown(&b);
}

/* A unit that the sender cannot see is none; one of another target is, with a session there. */
static void only_what_the_initiator_sees(void)
{
    static const char *const nobody[] = { "iqn.none", NULL };
    struct bench b;
    struct rig far = { 0 };

    setup(&b, NULL, NULL);
    struct disk *disk = disk_new(&(struct disk_options){ 0 });
    struct scsi_unit_config config = { .target_name = TARGET_NAME "far", .lun = 5, .lanes = 1 };
    struct scsi_unit *unit = NULL, *hidden = NULL;
    g_assert_cmpint(scsi_unit_create(&config, &disk->backend, &unit), ==, 0);
    config.lun = 6;
    config.initiators = nobody;
    g_assert_cmpint(scsi_unit_create(&config, &disk->backend, &hidden), ==, 0);
    g_assert_cmpint(scsi_target_create(TARGET_NAME "far", NULL, (uint16_t[]){ 1 }, 1, &far.target),
                    ==, 0);
    rig_publish(&far, (struct scsi_unit *[]){ unit, hidden }, 2);
    begin(&b, 1);
    b.cscds = 32;
    add_cscd(&b, unit);
    add_cscd(&b, hidden);
    add_segment(&b, 0x02, 0, 1, 0, 0, 9);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    struct scsi_nexus *stranger = rig_nexus(&far, INITIATOR_NAME "3", false);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    struct scsi_nexus *nexus = rig_nexus(&far, INITIATOR_NAME, false);
    /* The name alone is no proof: neither from elsewhere, nor where the other target asks for one. */
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    b.rig.a->peer = g_strdup("192.0.2.7:4711");
    nexus->peer = g_strdup("192.0.2.8:4712");
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    nexus->peer[8] = '7';
    far.target->guard = disk;
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    b.rig.target->guard = b.other_disk;
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    b.rig.target->guard = disk;
    expect_good(copy(&b));
    far.target->guard = NULL;
    expect_good(copy(&b));
    g_assert_cmpmem(disk->data, 9 * BLOCK, b.rig.disk->data, 9 * BLOCK);
    put_be16(b.list + COPY_HEADER + b.cscds + 6, 2);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_UNREACHABLE_COPY_TARGET);
    last = task_free(last);
    scsi_nexus_free(nexus);
    scsi_nexus_free(stranger);
    scsi_target_free(far.target);
    scsi_unit_free(unit);
    scsi_unit_free(hidden);
    disk_free(disk);
    teardown(&b);
}

static struct task *results(struct bench *b, uint8_t action, uint8_t id)
{
    return ask_in(&b->rig, CDB(0x84, action, id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255), 255);
}

static void its_sender_can_ask_how_far_it_is(void)
{
    struct bench b;

    setup(&b, NULL, NULL);
    expect_check(results(&b, 0, 9), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    begin(&b, 9);
    add_segment(&b, 0x02, 0, 1, 0, 0, 2);
    add_segment(&b, 0x02, 0, 1, 0, 9, 4);
    b.other_disk->hold = true;
    struct task *running = send_by(&b, NULL);
    rig_turn(&b.rig);
    g_assert_cmpuint(results(&b, 0, 9)->in[4], ==, 0);
    expect_check(copy(&b), SENSE_ILLEGAL_REQUEST, ASC_OPERATION_IN_PROGRESS);
    disk_release(b.other_disk);
    rig_turn(&b.rig);
    struct task *t = results(&b, 0, 9);
    g_assert_cmpuint(get_be16(t->in + 5), ==, 1);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 2 * BLOCK);
    b.other_disk->hold = false;
    disk_release(b.other_disk);
    rig_turn(&b.rig);
    expect_good(running);
    task_free(running);
    t = results(&b, 0, 9);
    g_assert_cmpuint(t->in[4], ==, 1);
    g_assert_cmpuint(get_be16(t->in + 5), ==, 2);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 6 * BLOCK);
    expect_check(results(&b, 0, 8), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(ask_as(&b.rig, b.rig.b, CDB(0x84, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99), 99),
                 SENSE_UNIT_ATTENTION, ASC_LUNS_CHANGED);
    expect_check(ask_as(&b.rig, b.rig.b, CDB(0x84, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99), 99),
                 SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    begin(&b, 9);
    add_segment(&b, 0x02, 0, 1, MAIN, 0, 2);
    expect_check(copy(&b), SENSE_COPY_ABORTED, ASC_NONE);
    g_assert_cmpuint(results(&b, 0, 9)->in[4], ==, 2);
    t = results(&b, 4, 9);
    g_assert_cmpuint(t->in[56], ==, SCSI_CHECK_CONDITION);
    g_assert_cmpuint(t->in[60 + 2], ==, SENSE_COPY_ABORTED);
    g_assert_cmpuint(get_be16(results(&b, 3, 0)->in + 8), ==, COPY_CSCDS_MAX);
    last = task_free(last);
    teardown(&b);
}

/* Aborted while each of its I/Os is under way; a reset of the other unit ends it, too. */
static void it_can_be_aborted_at_any_moment(void)
{
    struct bench b;

    for (unsigned steps = 0; steps < 8; steps++) {
        for (unsigned kind = 0; kind < 2; kind++) {
            setup(&b, NULL, NULL);
            begin(&b, 1);
            add_segment(&b, 0x02, 0, 1, 0, 0, 1500);
            b.other_disk->hold = b.rig.disk->hold = true;
            struct task *t = send_by(&b, NULL);
            for (unsigned i = 0; i < steps; i++) {
                rig_turn(&b.rig);
                disk_release(b.rig.disk);
                disk_release(b.other_disk);
            }
            bool over = t->ended;
            if (kind == 0)
                scsi_abort(&t->cmd);
            else
                scsi_unit_abort_all(b.other, NULL);
            b.other_disk->hold = b.rig.disk->hold = false;
            disk_release(b.rig.disk);
            disk_release(b.other_disk);
            rig_turn(&b.rig);
            g_assert_true(t->ended);
            if (kind == 0 && !over)
                g_assert_true(t->cmd.aborted);
            task_free(t);
            teardown(&b);
        }
    }
}

/* Another worker goes on where this one was when it died: chains and overlaps come out right. */
static void it_goes_on_in_another_worker(void)
{
    struct bench b;

    for (unsigned steps = 0; steps < 40; steps++) {
        setup(&b, NULL, NULL);
        g_autofree uint8_t *one = image_of(b.rig.disk), *two = image_of(b.other_disk);
        memmove(one + 300 * BLOCK, one, 900 * BLOCK);
        memcpy(two, one + 300 * BLOCK, 1000 * BLOCK);
        memcpy(one + 5 * BLOCK, two + 3 * BLOCK, 100 * BLOCK);
        begin(&b, 1);
        add_segment(&b, 0x02, 0, 0, 0, 300, 900);
        add_segment(&b, 0x02, 0, 1, 300, 0, 1000);
        add_segment(&b, 0x02, 1, 0, 3, 5, 100);
        uint32_t bytes = COPY_HEADER + b.cscds + b.segments;
        uint8_t cdb[16] = { 0x83 };
        put_be16(b.list + 2, (uint16_t)b.cscds);
        put_be32(b.list + 8, b.segments);
        put_be32(cdb + 10, bytes);
        struct ask ask = { .cdb = cdb, .out = true, .expected = bytes, .data = b.list };
        struct scsi_kept kept = { 0 };
        struct task *t = task_start(&b.rig, &ask);
        t->cmd.kept = &kept;
        b.other_disk->hold = b.rig.disk->hold = true;
        task_execute(t);
        for (unsigned i = 0; i < steps && !t->ended; i++) {
            rig_turn(&b.rig);
            disk_release(b.rig.disk);
            disk_release(b.other_disk);
        }
        /* It dies: what it kept is what was there before it is told to stop. */
        struct scsi_kept seen = kept;
        bool over = t->ended;
        scsi_abort(&t->cmd);
        b.other_disk->hold = b.rig.disk->hold = false;
        disk_release(b.rig.disk);
        disk_release(b.other_disk);
        rig_turn(&b.rig);
        task_free(t);
        if (!over) {
            t = task_start(&b.rig, &ask);
            t->cmd.kept = &seen;
            task_execute(t);
            rig_turn(&b.rig);
            expect_good(t);
            task_free(t);
        }
        expect_image(b.rig.disk, one);
        expect_image(b.other_disk, two);
        teardown(&b);
    }
}

static void it_holds_still_for_a_hand_over(void)
{
    struct bench b;

    setup(&b, NULL, NULL);
    begin(&b, 1);
    add_segment(&b, 0x02, 0, 1, 0, 0, 1500);
    b.rig.disk->hold = true;
    struct task *t = send_by(&b, NULL);
    rig_turn(&b.rig);
    scsi_copies_hold(true);
    g_assert_cmpuint(scsi_copies_held(), ==, 0);
    b.rig.disk->hold = false;
    disk_release(b.rig.disk);
    rig_turn(&b.rig);
    g_assert_cmpuint(scsi_copies_held(), ==, 1);
    g_assert_false(t->ended);
    scsi_copies_hold(false);
    rig_turn(&b.rig);
    expect_good(t);
    g_assert_cmpuint(scsi_copies_held(), ==, 0);
    task_free(t);
    teardown(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/copy/blocks", blocks_go_to_another_unit);
    g_test_add_func("/scsi/copy/overlap", ends_that_overlap_lose_nothing);
    g_test_add_func("/scsi/copy/bytes", bytes_go_anywhere);
    g_test_add_func("/scsi/copy/block-sizes", block_sizes_have_to_fit);
    g_test_add_func("/scsi/copy/lists", wrong_lists_are_refused);
    g_test_add_func("/scsi/copy/failures", failures_name_their_segment);
    g_test_add_func("/scsi/copy/access", reservations_and_protection_hold);
    g_test_add_func("/scsi/copy/visible", only_what_the_initiator_sees);
    g_test_add_func("/scsi/copy/status", its_sender_can_ask_how_far_it_is);
    g_test_add_func("/scsi/copy/abort", it_can_be_aborted_at_any_moment);
    g_test_add_func("/scsi/copy/another-worker", it_goes_on_in_another_worker);
    g_test_add_func("/scsi/copy/hold", it_holds_still_for_a_hand_over);
    return g_test_run();
}
