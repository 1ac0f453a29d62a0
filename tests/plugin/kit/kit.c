/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cases of the conformance kit share: the open LUN, patterns, and judgements about them. */
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

struct kit kit;

/* What the handler did against the rules says more than what came of it. */
static void judge_misuses(void)
{
    static const char *const ids[] = {
        [STORAGE_STRAY_ANSWER] = "stray-answer",
        [STORAGE_WRONG_THREAD] = "wrong-thread",
        [STORAGE_BAD_RESULT] = "bad-result",
    };
    static const char *const texts[] = {
        [STORAGE_STRAY_ANSWER] = "answers to an I/O that was answered before, or that is none",
        [STORAGE_WRONG_THREAD] = "calls of complete() away from the queue's reactor",
        [STORAGE_BAD_RESULT] = "results that are no errno, or extents that are none",
    };
    for (unsigned i = 0; i < STORAGE_MISUSES; i++) {
        uint64_t times = storage_misuses(kit.backend, i);
        if (times)
            kit_finding(ids[i], "%" G_GUINT64_FORMAT " %s", times, texts[i]);
    }
}

void kit_no_answer(const char *what)
{
    if (kit.backend)
        judge_misuses();
    kit_finding("no-answer", "%s", what);
}

/* In the process of a case: the plugin, and reactors to use it on. */
void kit_start(void)
{
    if (kit.started)
        return;
    kit.started = true;
    kit_load();
    rig_stuck = kit_no_answer;
    rig_init(&kit.rig, 4);
}

int kit_try_open(struct hf_error *error)
{
    kit_start();
    return rig_open(&kit.rig, &kit.lun, &kit.backend, error);
}

void kit_open(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (kit_try_open(&error) < 0)
        kit_finding("open-failed", "the LUN does not open: %s", error.text);
    kit.block = kit.backend->info.block_bytes;
    kit.area = MIN(kit.backend->info.bytes, KIT_AREA_MAX) / (64 * kit.block) * (64 * kit.block);
    if (kit.area < (4u << 20))
        kit_finding("too-small", "the LUN has %" G_GUINT64_FORMAT " bytes; the kit needs 4 MiB",
                    kit.backend->info.bytes);
}

void kit_close(void)
{
    judge_misuses();
    rig_close(&kit.rig, kit.backend);
    kit.backend = NULL;
}

void kit_expect_done(int result, const char *what)
{
    if (result == 0)
        return;
    judge_misuses();
    kit_finding("io-failed", "%s: %s", what, g_strerror(-result));
}

unsigned kit_count(const char *directory)
{
    DIR *dir = opendir(directory);
    unsigned n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

bool kit_has(uint32_t features)
{
    return (kit.backend->info.features & features) == features;
}

bool kit_writable(void)
{
    if (!kit_has(BACKEND_FEATURE_READ_ONLY))
        return true;
    kit_skip("the LUN is read only");
    return false;
}

void *kit_buffer(size_t bytes)
{
    void *data = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    g_assert_nonnull(data);
    memset(data, 0xa5, bytes);
    return data;
}

static uint64_t word_of(uint64_t offset, uint64_t seed)
{
    uint64_t x = offset * 0x9e3779b97f4a7c15ull + seed * 0xbf58476d1ce4e5b9ull + 1;
    x ^= x >> 29;
    return x * 0x94d049bb133111ebull | 1; /* never 0 */
}

void kit_pattern(void *data, uint64_t offset, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = word_of(offset + i, seed);
        memcpy((char *)data + i, &word, 8);
    }
}

void kit_expect_pattern(const void *data, uint64_t offset, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word;
        memcpy(&word, (const char *)data + i, 8);
        if (word != (kit.keeps_nothing ? 0 : word_of(offset + i, seed)))
            kit_finding(kit.data_finding ? kit.data_finding : "wrong-data",
                        "at byte %" G_GUINT64_FORMAT " of the LUN", offset + i);
    }
}

void kit_expect_zeroes(const void *data, uint64_t offset, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const char *)data)[i])
            kit_finding("not-zero", "at byte %" G_GUINT64_FORMAT " of the LUN", offset + i);
}

void kit_write_pattern(uint64_t offset, size_t bytes, uint64_t seed)
{
    void *data = kit_buffer(bytes);
    kit_pattern(data, offset, bytes, seed);
    kit_expect_done(rig_write(&kit.rig, kit.backend, offset, data, bytes, 0), "a write");
    free(data);
}

void kit_read_pattern(uint64_t offset, size_t bytes, uint64_t seed)
{
    void *data = kit_buffer(bytes);
    kit_expect_done(rig_read(&kit.rig, kit.backend, offset, data, bytes), "a read");
    kit_expect_pattern(data, offset, bytes, seed);
    free(data);
}

void kit_read_zeroes(uint64_t offset, size_t bytes)
{
    void *data = kit_buffer(bytes);
    kit_expect_done(rig_read(&kit.rig, kit.backend, offset, data, bytes), "a read");
    kit_expect_zeroes(data, offset, bytes);
    free(data);
}
