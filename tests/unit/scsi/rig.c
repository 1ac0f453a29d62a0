/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench and its transport; see rig.h. */
#include "rig.h"

#include "scsi/once.h"

#include <string.h>

void rig_publish(struct rig *rig, struct scsi_unit *const *units, unsigned count)
{
    struct scsi_lun_map *map = NULL;
    g_assert_cmpint(scsi_lun_map_create(units, NULL, count, &map), ==, 0);
    scsi_lun_map_free(scsi_target_publish(rig->target, map));
}

struct scsi_unit *rig_unit(struct disk *disk, uint16_t lun, const char *const *initiators)
{
    struct scsi_unit_config config = {
        .target_name = TARGET_NAME, .lun = lun, .lanes = 1, .initiators = initiators
    };
    struct scsi_unit *unit = NULL;
    g_assert_cmpint(scsi_unit_create(&config, &disk->backend, &unit), ==, 0);
    return unit;
}

struct scsi_nexus *rig_nexus(struct rig *rig, const char *initiator, bool announce_reset)
{
    g_autofree char *port = g_strconcat(initiator, ",i,0x400001370000", NULL);
    struct scsi_nexus_config config = { .target = rig->target,
                                        .initiator_name = initiator,
                                        .initiator_port = port,
                                        .tag = 1,
                                        .version_descriptor = 0x0961,
                                        .announce_reset = announce_reset };
    struct scsi_nexus *nexus = NULL;
    g_assert_cmpint(scsi_nexus_create(&config, &nexus), ==, 0);
    return nexus;
}

void rig_setup(struct rig *rig, const struct disk_options *options,
               const struct scsi_unit_config *config)
{
    struct reactor_options ro = { .name = "test", .cpu = -1, .tombstone_fd = -1 };
    struct scsi_unit_config default_config = { 0 };
    uint64_t pool_bytes = (uint64_t)(rig->pool_mib ? rig->pool_mib : 2) << 20;
    const uint16_t tags[2] = { 1, 7 };

    g_assert_cmpint(reactor_create(&ro, &rig->reactor), ==, 0);
    reactor_of_thread = rig->reactor;
    g_assert_cmpint(arena_map(ARENA_POOL_FIRST, arena_create_fd("pool", pool_bytes), pool_bytes),
                    ==, 0);
    g_assert_cmpint(bufpool_create(rig->reactor, ARENA_POOL_FIRST, &rig->pool), ==, 0);
    g_assert_cmpint(scsi_target_create(TARGET_NAME, NULL, tags, 2, &rig->target), ==, 0);
    rig->disk = disk_new(options ? options : &(struct disk_options){ 0 });
    if (config)
        default_config = *config;
    default_config.target_name = TARGET_NAME;
    default_config.lanes = 1;
    g_assert_cmpint(scsi_unit_create(&default_config, &rig->disk->backend, &rig->unit), ==, 0);
    rig_publish(rig, &rig->unit, 1);
    rig->a = rig_nexus(rig, INITIATOR_NAME, false);
    rig->b = rig_nexus(rig, INITIATOR_NAME "2", false);
}

static struct task *last_task;

void rig_teardown(struct rig *rig)
{
    last_task = task_free(last_task);
    g_assert_cmpuint(rig->a->active, ==, 0);
    g_assert_cmpuint(scsi_unit_active(rig->unit), ==, 0);
    g_assert_cmpuint(bufpool_used(rig->pool), ==, 0);
    scsi_nexus_free(rig->a);
    scsi_nexus_free(rig->b);
    scsi_target_free(rig->target);
    scsi_unit_free(rig->unit);
    disk_free(rig->disk);
    bufpool_destroy(rig->pool);
    reactor_of_thread = NULL;
    reactor_free(rig->reactor);
    arena_unmap(ARENA_POOL_FIRST);
}

void rig_turn(struct rig *rig)
{
    struct list *link;
    uint64_t before;

    do {
        before = rig->reactor->counters.messages;
        reactor_run_mailbox(rig->reactor);
        while ((link = list_take(&rig->reactor->deferred))) {
            struct reactor_task *task = list_entry(link, struct reactor_task, link);
            task->run(task);
        }
    } while (!list_empty(&rig->reactor->deferred) || before != rig->reactor->counters.messages);
}

static void take_answer(struct task *task)
{
    const struct scsi_command *cmd = &task->cmd;

    task->ended = true;
    task->status = cmd->status;
    task->in_bytes = cmd->data_in_bytes;
    task->in = cmd->mapped ? arena_ptr(cmd->mapped) : task->memory;
    if (cmd->status == SCSI_CHECK_CONDITION) {
        bool descriptor = cmd->sense[0] == 0x72;
        g_assert_cmpuint(cmd->sense_bytes, >=, 8);
        task->key = descriptor ? cmd->sense[1] : cmd->sense[2];
        task->asc = get_be16(cmd->sense + (descriptor ? 2 : 12));
        g_assert_cmpuint(task->in_bytes, ==, 0);
    } else {
        g_assert_cmpuint(cmd->sense_bytes, ==, 0);
    }
    g_assert_cmpuint(task->in_bytes, <=, cmd->expected_bytes);
    if (!cmd->mapped)
        g_assert_cmpuint(task->in_bytes, <=, cmd->buffer_bytes);
}

static void command_done(struct scsi_command *cmd)
{
    struct task *task = container_of(cmd, struct task, cmd);
    g_assert_false(task->ended); /* exactly once */
    take_answer(task);
}

/* Memory of just the size that was asked for, in elements of `element` bytes. */
static void bring_buffer(struct task *task, const struct ask *ask)
{
    uint32_t bytes = task->cmd.buffer_bytes, element = ask->element ? ask->element : bytes;

    task->memory = g_malloc(bytes + 1);
    memset(task->memory, 0xee, bytes + 1);
    for (uint32_t at = 0; at < bytes; at += element) {
        g_assert_cmpuint(task->cmd.iov_count, <, G_N_ELEMENTS(task->iov));
        uint32_t piece = bytes - at < element ? bytes - at : element;
        task->iov[task->cmd.iov_count++] = (struct iovec){ task->memory + at, piece };
    }
    task->cmd.iov = task->iov;
    if (task->cmd.data_out_bytes) {
        g_assert_cmpuint(task->cmd.data_out_bytes, <=, ask->expected);
        memcpy(task->memory, ask->data, task->cmd.data_out_bytes);
    }
}

struct task *task_start(struct rig *rig, const struct ask *ask)
{
    struct task *task = g_new0(struct task, 1);
    struct scsi_command *cmd = &task->cmd;

    cmd->done = command_done;
    cmd->nexus = ask->nexus ? ask->nexus : rig->a;
    cmd->lun = ask->lun;
    cmd->cdb_bytes = (uint8_t)(ask->cdb_bytes ? ask->cdb_bytes : 16);
    memcpy(cmd->cdb, ask->cdb, cmd->cdb_bytes);
    cmd->expects_in = ask->in;
    cmd->expects_out = ask->out;
    cmd->expected_bytes = ask->expected;
    cmd->kept = ask->kept;
    cmd->id = ask->id;
    if (ask->resumed)
        scsi_resumed(cmd);
    if (scsi_start(cmd) == SCSI_ENDED)
        take_answer(task);
    else
        bring_buffer(task, ask);
    return task;
}

void task_execute(struct task *task)
{
    task->executed = true;
    scsi_execute(&task->cmd);
}

struct task *task_run(struct rig *rig, const struct ask *ask)
{
    struct task *task = task_start(rig, ask);
    if (!task->ended)
        task_execute(task);
    if (task->memory && task->ended)
        g_assert_cmpuint(task->memory[task->cmd.buffer_bytes], ==, 0xee);
    return task;
}

struct task *task_free(struct task *task)
{
    if (!task)
        return NULL;
    g_assert_true(task->ended);
    g_free(task->memory);
    g_free(task);
    return NULL;
}

static struct task *keep(struct rig *rig, struct task *task)
{
    if (!task->ended && !rig->disk->hold)
        rig_turn(rig);
    task_free(last_task);
    last_task = task;
    return task;
}

struct task *ask_in(struct rig *rig, const uint8_t *cdb, uint32_t expected)
{
    return ask_as(rig, NULL, cdb, expected);
}

struct task *ask_out(struct rig *rig, const uint8_t *cdb, const void *data, uint32_t bytes)
{
    struct ask ask = { .cdb = cdb, .out = true, .expected = bytes, .data = data };
    return keep(rig, task_run(rig, &ask));
}

struct task *ask_none(struct rig *rig, const uint8_t *cdb)
{
    struct ask ask = { .cdb = cdb };
    return keep(rig, task_run(rig, &ask));
}

struct task *ask_as(struct rig *rig, struct scsi_nexus *nexus, const uint8_t *cdb,
                    uint32_t expected)
{
    struct ask ask = { .nexus = nexus, .cdb = cdb, .in = expected != 0, .expected = expected };
    return keep(rig, task_run(rig, &ask));
}

void expect_good(const struct task *task)
{
    g_assert_true(task->ended);
    if (task->status == SCSI_CHECK_CONDITION)
        g_test_message("sense %x/%04x", task->key, task->asc);
    g_assert_cmphex(task->status, ==, SCSI_GOOD);
}

void expect_check(const struct task *task, uint8_t key, uint16_t asc)
{
    g_assert_true(task->ended);
    g_assert_cmphex(task->status, ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(task->key, ==, key);
    g_assert_cmphex(task->asc, ==, asc);
}

void expect_field(const struct task *task, bool in_cdb, uint16_t byte)
{
    g_assert_cmphex(task->cmd.sense[0] & 0x7f, ==, 0x70);
    g_assert_cmphex(task->cmd.sense[15] & 0xc0, ==, in_cdb ? 0xc0 : 0x80);
    g_assert_cmpuint(get_be16(task->cmd.sense + 16), ==, byte);
}
