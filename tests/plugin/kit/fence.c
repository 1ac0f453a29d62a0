/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins of kind fence: raising and lowering twice is as once. Only with --fence, because it takes
 * privileges and really drops packets: those of port 1 of 127.0.0.1, where nobody listens.
 */
#include "kit.h"

#include <glib.h>

struct fence {
    void *handle;
    struct plugin_config *config;
};

static const struct hf_fence_ops *ops(void)
{
    return &kit.lun.plugin->fence;
}

static struct fence open_fence(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    struct fence fence = { NULL };
    kit_load();
    if (rig_config(&kit.lun, &fence.config, &error) < 0)
        kit_finding("options-refused", "%s", error.text);
    if (ops()->open(plugin_config_data(fence.config), "plugin-test", &fence.handle, &error) != 0)
        kit_finding("open-failed", "%s", error.text);
    return fence;
}

static void close_fence(struct fence *fence)
{
    ops()->close(fence->handle);
    plugin_config_free(fence->config);
}

static void expect(int r, const struct hf_error *error, const char *what)
{
    if (r != 0)
        kit_finding("fence-failed", "%s: %s", what, error->text);
}

static bool allowed(void)
{
    if (!kit.fence)
        kit_skip("it would drop packets; --fence allows that");
    return kit.fence;
}

static void options_are_taken(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    kit_load();
    if (rig_judge(&kit.lun, &error) < 0)
        kit_finding("options-refused", "%s", error.text);
}

static void open_and_close_often(void)
{
    if (!allowed())
        return;
    struct fence fence = open_fence();
    close_fence(&fence);
    unsigned files = kit_count("/proc/self/fd");
    for (int i = 0; i < 20; i++) {
        fence = open_fence();
        close_fence(&fence);
    }
    if (kit_count("/proc/self/fd") >= files + 20)
        kit_finding("leaked-descriptor", "20 times open and close left descriptors open");
}

static void twice_is_as_once(void)
{
    static const struct hf_fence_portal portals[] = {
        { .size = sizeof(portals[0]),
          .family = HF_FENCE_IPV4,
          .port = 1,
          .address = { 127, 0, 0, 1 } },
    };
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (!allowed())
        return;
    struct fence fence = open_fence();
    expect(ops()->lower(fence.handle, &error), &error, "lower() of a fence that is not there");
    for (int i = 0; i < 2; i++)
        expect(ops()->raise(fence.handle, portals, 1, 5000000000ull, &error), &error, "raise()");
    for (int i = 0; i < 2; i++)
        expect(ops()->lower(fence.handle, &error), &error, "lower()");
    if (ops()->clean) {
        uint32_t up = 1;
        expect(ops()->clean(fence.handle, &up, &error), &error, "clean()");
        if (up)
            kit_finding("fence-up", "clean() finds a fence up that was lowered");
    }
    close_fence(&fence);
}

static const struct kit_case cases[] = {
    { "/fence/options-are-taken", options_are_taken },
    { "/fence/open-and-close-often", open_and_close_often },
    { "/fence/twice-is-as-once", twice_is_as_once },
};

void kit_add_fence_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
