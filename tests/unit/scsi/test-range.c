/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exclusive ranges over several reactors: clients on their own threads increment one counter with
 * COMPARE AND WRITE, others write around it. The storage answers later, so that there is room
 * for every interleaving; it also watches that no two requests of different commands that must not
 * meet are under way at a time.
 */
#include <semaphore.h>
#include <string.h>

#include "rig.h"

#define LANES      4
#define BLOCK      512u
#define INCREMENTS 20000u
#define BLOCKS     64u

struct slow {
    struct backend backend;
    uint8_t data[BLOCKS * BLOCK];
    pthread_mutex_t lock; /* a block is read and written as a whole, as by a disk */
    uint64_t writes;      /* of block 9 */
    struct slow_lane {
        struct list waiting;
        struct reactor_task task;
        unsigned dice;
    } lanes[LANES];
};

static struct slow slow;
static struct scsi_unit *unit;
static struct scsi_target *target;
static struct reactor *reactors[LANES];
static struct scsi_services services = { .reactors = reactors };
static sem_t over;

struct waiter {
    struct list link;
    struct backend_io *io;
};

/* Between a command's read of block 9 and its write nobody else may write it. The number of writes
   that the read saw, plus one, is kept in the room of the I/O. Locked. */
static void watch(struct backend_io *io)
{
    uint64_t *seen = &io->room[8];

    if (io->offset > 9 * BLOCK || io->offset + io->length <= 9 * BLOCK)
        return;
    if (io->op == BACKEND_READ) {
        *seen = slow.writes + 1;
        return;
    }
    if (*seen)
        g_assert_cmpuint(*seen - 1, ==, slow.writes);
    slow.writes++;
}

static void move(struct backend_io *io)
{
    uint8_t *at = slow.data + io->offset;

    pthread_mutex_lock(&slow.lock);
    watch(io);
    pthread_mutex_unlock(&slow.lock);

    g_assert_cmpuint(io->offset + io->length, <=, sizeof(slow.data));
    for (uint32_t i = 0; i < io->iov_count; at += io->iov[i++].iov_len) {
        pthread_mutex_lock(&slow.lock);
        if (io->op == BACKEND_READ)
            memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
        else
            memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
        pthread_mutex_unlock(&slow.lock);
    }
}

static void answer_task(struct reactor_task *task)
{
    struct slow_lane *lane = container_of(task, struct slow_lane, task);
    struct list now, *link;

    list_init(&now);
    list_splice(&now, &lane->waiting);
    while ((link = list_take(&now))) {
        struct backend_io *io = list_entry(link, struct waiter, link)->io;
        if (lane->dice++ % 5 < 2) { /* not yet */
            list_append(&lane->waiting, link);
            reactor_defer(reactor_current(), &lane->task);
            continue;
        }
        move(io);
        io->result = 0;
        io->done(io);
    }
}

static void submit(struct backend *backend, struct backend_io *io)
{
    struct slow_lane *lane = &slow.lanes[reactor_current()->index];
    struct waiter *waiter = (struct waiter *)io->room;

    waiter->io = io;
    list_append(&lane->waiting, &waiter->link);
    reactor_defer(reactor_current(), &lane->task);
}

static const struct backend_ops ops = { .submit = submit };

/* ---- clients ---- */

struct client {
    struct scsi_command cmd;
    struct scsi_nexus *nexus;
    struct reactor_message message;
    struct reactor_task next;
    unsigned lane, kind, left;
    uint64_t tries;
    struct iovec iov;
    uint8_t memory[8 * BLOCK];
};

enum { INCREMENT, WRITE_ALL, RESET };

static void issue(struct client *c, uint8_t opcode, uint32_t lba, uint32_t blocks, uint32_t bytes)
{
    struct scsi_command *cmd = &c->cmd;

    memset(cmd->cdb, 0, sizeof(cmd->cdb));
    cmd->cdb[0] = opcode;
    cmd->cdb_bytes = 16;
    put_be64(cmd->cdb + 2, lba);
    cmd->cdb[13] = (uint8_t)blocks;
    cmd->nexus = c->nexus;
    cmd->lun = 0;
    cmd->expects_out = true;
    cmd->expects_in = false;
    cmd->expected_bytes = bytes;
    g_assert_cmpint(scsi_start(cmd), ==, SCSI_EXECUTE);
    c->iov = (struct iovec){ c->memory, bytes };
    cmd->iov = &c->iov;
    cmd->iov_count = 1;
    cmd->io.room[8] = 0;
    scsi_execute(cmd);
}

/* The counter is in block 9: its value in the first 8 bytes, the same in the last. */
static void set_counter(uint8_t *block, uint64_t value)
{
    memset(block, 0, BLOCK);
    put_be64(block, value);
    put_be64(block + BLOCK - 8, value);
}

static void next_run(struct reactor_task *task)
{
    struct client *c = container_of(task, struct client, next);

    if (c->left == 0) {
        sem_post(&over);
        return;
    }
    if (c->kind == INCREMENT) {
        uint64_t guess;
        pthread_mutex_lock(&slow.lock);
        guess = get_be64(slow.data + 9 * BLOCK);
        pthread_mutex_unlock(&slow.lock);
        set_counter(c->memory, guess);
        set_counter(c->memory + BLOCK, guess + 1);
        issue(c, 0x89, 9, 1, 2 * BLOCK);
    } else if (c->kind == RESET) {
        memset(c->memory, 0, sizeof(c->memory));
        issue(c, c->left % 3 ? 0x8a : 0x8b, 7, 4, 4 * BLOCK);
    } else { /* blocks 0..7 as a whole by ORWRITE and WRITE, all of them with one sign */
        memset(c->memory, (int)(c->lane + c->left % 64 + 1), sizeof(c->memory));
        issue(c, c->left % 3 ? 0x8a : 0x8b, c->left % 7 ? 0 : 2, c->left % 7 ? 8 : 4,
              (c->left % 7 ? 8 : 4) * BLOCK);
    }
}

static void done(struct scsi_command *cmd)
{
    struct client *c = container_of(cmd, struct client, cmd);

    c->tries++;
    if (cmd->status == SCSI_GOOD) {
        c->left--;
    } else {
        g_assert_cmpint(c->kind, ==, INCREMENT);
        g_assert_cmphex(cmd->sense[2], ==, SENSE_MISCOMPARE);
    }
    reactor_defer(reactor_current(), &c->next);
}

static void start_message(struct reactor_message *message)
{
    struct client *c = container_of(message, struct client, message);
    reactor_defer(reactor_current(), &c->next);
}

static struct client *client_new(unsigned lane, unsigned kind, unsigned count)
{
    struct client *c = g_new0(struct client, 1);
    struct scsi_nexus_config config = { .target = target,
                                        .initiator_name = INITIATOR_NAME,
                                        .initiator_port = "p",
                                        .tag = 1 };

    g_assert_cmpint(scsi_nexus_create(&config, &c->nexus), ==, 0);
    c->cmd.done = done;
    c->lane = lane;
    c->kind = kind;
    c->left = count;
    reactor_task_init(&c->next, next_run);
    c->message.run = start_message;
    return c;
}

/* ---- the bench ---- */

static void setup(void)
{
    const uint16_t tags[1] = { 1 };
    struct scsi_unit_config config = { .target_name = TARGET_NAME, .lanes = LANES, .services = &services };
    struct scsi_lun_map *map;

    memset(slow.data, 0, sizeof(slow.data));
    pthread_mutex_init(&slow.lock, NULL);
    slow.backend = (struct backend){ .ops = &ops, .product = "slow" };
    slow.backend.info.bytes = sizeof(slow.data);
    slow.backend.info.block_bytes = slow.backend.info.physical_block_bytes = BLOCK;
    for (unsigned i = 0; i < LANES; i++) {
        struct reactor_options o = { .name = "lane", .index = i, .cpu = -1, .tombstone_fd = -1 };
        struct bufpool *pool;
        list_init(&slow.lanes[i].waiting);
        reactor_task_init(&slow.lanes[i].task, answer_task);
        g_assert_cmpint(reactor_create(&o, &reactors[i]), ==, 0);
        g_assert_cmpint(arena_map(ARENA_POOL_FIRST + i, arena_create_fd("pool", 2 << 20), 2 << 20), ==,
                        0);
        g_assert_cmpint(bufpool_create(reactors[i], ARENA_POOL_FIRST + i, &pool), ==, 0);
    }
    g_assert_cmpint(scsi_unit_create(&config, &slow.backend, &unit), ==, 0);
    g_assert_cmpint(scsi_target_create(TARGET_NAME, NULL, tags, 1, &target), ==, 0);
    g_assert_cmpint(scsi_lun_map_create(&unit, NULL, 1, &map), ==, 0);
    scsi_lun_map_free(scsi_target_publish(target, map));
    for (unsigned i = 0; i < LANES; i++)
        g_assert_cmpint(reactor_start(reactors[i]), ==, 0);
    sem_init(&over, 0, 0);
}

static void teardown(void)
{
    for (unsigned i = 0; i < LANES; i++)
        reactor_stop(reactors[i]);
    for (unsigned i = 0; i < LANES; i++) {
        g_assert_cmpuint(atomic_load(&unit->lanes[i].open), ==, 0);
        g_assert_true(list_empty(&unit->lanes[i].range_visitors));
        bufpool_destroy(reactors[i]->pool);
        reactor_free(reactors[i]);
        arena_unmap(ARENA_POOL_FIRST + i);
    }
    g_assert_cmpuint(atomic_load(&unit->ranges.exclusive), ==, 0);
    g_assert_true(list_empty(&unit->ranges.list));
    scsi_target_free(target);
    scsi_unit_free(unit);
    sem_destroy(&over);
}

static void run_clients(struct client **clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        reactor_post(reactors[clients[i]->lane], &clients[i]->message);
    for (unsigned i = 0; i < count; i++)
        sem_wait(&over);
}

static void free_clients(struct client **clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        scsi_nexus_free(clients[i]->nexus);
        g_free(clients[i]);
    }
}

static void increments_are_never_lost(void)
{
    struct client *clients[8];
    uint64_t tries = 0;

    setup();
    for (unsigned i = 0; i < 8; i++)
        clients[i] = client_new(i % LANES, INCREMENT, INCREMENTS / 8);
    run_clients(clients, 8);
    for (unsigned i = 0; i < 8; i++)
        tries += clients[i]->tries;
    teardown();
    g_test_message("%u increments, %llu tries", INCREMENTS, (unsigned long long)tries);
    g_assert_cmpuint(get_be64(slow.data + 9 * BLOCK), ==, INCREMENTS);
    g_assert_cmpuint(get_be64(slow.data + 10 * BLOCK - 8), ==, INCREMENTS);
    free_clients(clients, 8);
}

/* Writers in between, of other blocks and of ORWRITE's: nothing stands still, all of them end. */
static void writes_and_exclusive_ranges_together(void)
{
    struct client *clients[12];

    setup();
    for (unsigned i = 0; i < 12; i++)
        clients[i] = client_new(i % LANES, i < 4 ? INCREMENT : WRITE_ALL, INCREMENTS / 16);
    run_clients(clients, 12);
    teardown();
    g_assert_cmpuint(get_be64(slow.data + 9 * BLOCK), ==, INCREMENTS / 4);
    free_clients(clients, 12);
}

/* A plain write of another reactor never comes between the steps of a COMPARE AND WRITE. */
static void writes_of_the_same_block(void)
{
    struct client *clients[8];

    setup();
    slow.writes = 0;
    for (unsigned i = 0; i < 8; i++)
        clients[i] = client_new(i % LANES, i < 1 ? INCREMENT : RESET, INCREMENTS / 8);
    run_clients(clients, 8);
    teardown();
    g_assert_cmpuint(slow.writes, >=, INCREMENTS);
    free_clients(clients, 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/range/reactors/increments", increments_are_never_lost);
    g_test_add_func("/scsi/range/reactors/same-block", writes_of_the_same_block);
    g_test_add_func("/scsi/range/reactors/mixed", writes_and_exclusive_ranges_together);
    return g_test_run();
}
