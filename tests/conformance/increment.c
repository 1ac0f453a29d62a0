/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One session of tests/conformance/increments: reads block 0 and writes it back with its numbers increased
 * by COMPARE AND WRITE, if nobody was quicker.
 *
 *     increment HOST:PORT IQN LUN WHO COUNT
 *
 * The block has the sum of all sessions first, then each session's own part, 64 bits each in network
 * order. Says "done missed" now and then, and at the end; exit code 0 when COUNT were answered GOOD.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define BLOCK    512
#define SESSIONS 8
#define SAY      1000 /* increments and misses between two lines */

static int fail(struct iscsi_context *iscsi, const char *what, const struct scsi_task *task)
{
    fprintf(stderr, "%s: %s (status %d)\n", what, iscsi_get_error(iscsi), task ? task->status : -1);
    return 1;
}

static void increase(uint64_t *words, unsigned who)
{
    words[0] = htobe64(be64toh(words[0]) + 1);
    words[1 + who] = htobe64(be64toh(words[1 + who]) + 1);
}

/* 0, or 1 after a message. */
static int read_block(struct iscsi_context *iscsi, int lun, void *block)
{
    struct scsi_task *task = iscsi_read10_sync(iscsi, lun, 0, BLOCK, BLOCK, 0, 0, 0, 0, 0);
    if (!task || task->status != SCSI_STATUS_GOOD || task->datain.size != BLOCK)
        return fail(iscsi, "read", task);
    memcpy(block, task->datain.data, BLOCK);
    scsi_free_scsi_task(task);
    return 0;
}

/* GOOD: 1, miscompared: 0, anything else: -1 after a message. */
static int swap_block(struct iscsi_context *iscsi, int lun, unsigned char both[static 2 * BLOCK])
{
    struct scsi_task *task =
        iscsi_compareandwrite_sync(iscsi, lun, 0, both, 2 * BLOCK, BLOCK, 0, 0, 0, 0, 0);
    int result = -1;
    if (task && task->status == SCSI_STATUS_GOOD)
        result = 1;
    else if (task && task->status == SCSI_STATUS_CHECK_CONDITION &&
             task->sense.key == SCSI_SENSE_MISCOMPARE)
        result = 0;
    else
        fail(iscsi, "compare and write", task);
    if (task)
        scsi_free_scsi_task(task);
    return result;
}

static int increments(struct iscsi_context *iscsi, int lun, unsigned who, uint64_t count)
{
    union {
        uint64_t words[2][BLOCK / 8];
        unsigned char bytes[2 * BLOCK];
    } block;
    uint64_t done = 0, missed = 0;
    if (read_block(iscsi, lun, block.words[0]))
        return 1;
    while (done < count) {
        memcpy(block.words[1], block.words[0], BLOCK);
        increase(block.words[1], who);
        int result = swap_block(iscsi, lun, block.bytes);
        if (result < 0)
            return 1;
        done += result == 1;
        missed += result == 0;
        if (result == 1) /* go on with it, as long as nobody is quicker */
            memcpy(block.words[0], block.words[1], BLOCK);
        else if (read_block(iscsi, lun, block.words[0]))
            return 1;
        if ((done + missed) % SAY == 0 || done == count)
            printf("%" PRIu64 " %" PRIu64 "\n", done, missed);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 6 || strtoul(argv[4], NULL, 10) >= SESSIONS) {
        fprintf(stderr, "usage: increment HOST:PORT IQN LUN WHO COUNT\n");
        return 2;
    }
    int lun = atoi(argv[3]);
    unsigned who = (unsigned)strtoul(argv[4], NULL, 10);
    char name[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(name, sizeof(name), "iqn.2026-11.org.example:counter%u", who);
    struct iscsi_context *iscsi = iscsi_create_context(name);
    if (!iscsi)
        return 1;
    iscsi_set_targetname(iscsi, argv[2]);
    iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
    iscsi_set_header_digest(iscsi, ISCSI_HEADER_DIGEST_NONE);
    iscsi_set_noautoreconnect(iscsi, 1);
    iscsi_set_timeout(iscsi, 60);
    int code = iscsi_full_connect_sync(iscsi, argv[1], lun) == 0
                   ? increments(iscsi, lun, who, strtoull(argv[5], NULL, 10))
                   : fail(iscsi, "login", NULL);
    iscsi_destroy_context(iscsi);
    return code;
}
