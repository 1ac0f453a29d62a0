/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast-plugin-test: does a storage handler hold the promises of <holdfast/handler.h>? Loads one
 * plugin through the daemon's own loader and bridge, without a daemon, and prints TAP.
 *
 *     holdfast-plugin-test [--block-size=N] [--read-only] [--keeps-nothing] [--volatile] \
 *         my.so key=value...
 *
 * The first 32 MiB of the LUN are overwritten.
 */
#include "kit.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

struct kit kit;

void kit_open(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (rig_open(&kit.rig, &kit.lun, &kit.backend, &error) < 0)
        g_error("the LUN does not open: %s", error.text);
    kit.block = kit.backend->info.block_bytes;
    kit.area = MIN(kit.backend->info.bytes, KIT_AREA_MAX) / (64 * kit.block) * (64 * kit.block);
    if (kit.area < (4u << 20))
        g_error("the LUN is smaller than 4 MiB");
}

void kit_close(void)
{
    g_assert_cmpuint(storage_stray_answers(kit.backend), ==, 0);
    rig_close(&kit.rig, kit.backend);
    kit.backend = NULL;
}

bool kit_has(uint32_t features)
{
    return (kit.backend->info.features & features) == features;
}

bool kit_writable(void)
{
    if (!kit_has(BACKEND_FEATURE_READ_ONLY))
        return true;
    g_test_skip("the LUN is read only");
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
            g_error("wrong data at byte %" G_GUINT64_FORMAT " of the LUN", offset + i);
    }
}

void kit_expect_zeroes(const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const char *)data)[i])
            g_error("not zero, %zu bytes from the start of the read", i);
}

void kit_write_pattern(uint64_t offset, size_t bytes, uint64_t seed)
{
    void *data = kit_buffer(bytes);
    kit_pattern(data, offset, bytes, seed);
    g_assert_cmpint(rig_write(&kit.rig, kit.backend, offset, data, bytes, 0), ==, 0);
    free(data);
}

void kit_read_pattern(uint64_t offset, size_t bytes, uint64_t seed)
{
    void *data = kit_buffer(bytes);
    g_assert_cmpint(rig_read(&kit.rig, kit.backend, offset, data, bytes), ==, 0);
    kit_expect_pattern(data, offset, bytes, seed);
    free(data);
}

void kit_read_zeroes(uint64_t offset, size_t bytes)
{
    void *data = kit_buffer(bytes);
    g_assert_cmpint(rig_read(&kit.rig, kit.backend, offset, data, bytes), ==, 0);
    kit_expect_zeroes(data, bytes);
    free(data);
}

/* ---------------------------------------------------------------------------------------- main */

static bool take_option(const char *word)
{
    if (g_str_has_prefix(word, "--block-size="))
        kit.lun.block_bytes = (unsigned)atoi(strchr(word, '=') + 1);
    else if (strcmp(word, "--read-only") == 0)
        kit.lun.read_only = true;
    else if (strcmp(word, "--keeps-nothing") == 0)
        kit.keeps_nothing = true;
    else if (strcmp(word, "--volatile") == 0)
        kit.forgets = true;
    else
        return false;
    return true;
}

static int usage(const char *program)
{
    g_printerr("usage: %s [--block-size=N] [--read-only] [--keeps-nothing] [--volatile] "
               "PLUGIN.so KEY=VALUE...\n",
               program);
    return 2;
}

static bool load(const char *path)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (plugin_load_file(path, &kit.lun.plugin, &error) < 0) {
        g_printerr("%s\n", error.text);
        return false;
    }
    if (kit.lun.plugin->info.kind == HF_KIND_HANDLER)
        return true;
    g_printerr("%s: is a plugin of kind %s; this kit tests handlers\n", path,
               plugin_kind_name(kit.lun.plugin->info.kind));
    return false;
}

int main(int argc, char **argv)
{
    int i = 1;
    g_test_init(&argc, &argv, NULL);
    while (i < argc && argv[i][0] == '-')
        if (!take_option(argv[i++]))
            return usage(argv[0]);
    if (i == argc)
        return usage(argv[0]);
    const char *path = argv[i++];
    kit.lun.options = (const char *const *)&argv[i];
    for (; i < argc; i++)
        if (!strchr(argv[i], '='))
            return usage(argv[0]);
    if (!load(path))
        return 1;
    rig_init(&kit.rig, 4);
    kit_add_life_cases();
    kit_add_transfer_cases();
    kit_add_provisioning_cases();
    kit_add_stress_cases();
    int r = g_test_run();
    rig_deinit(&kit.rig);
    return r;
}
