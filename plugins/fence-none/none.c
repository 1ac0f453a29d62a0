/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fence plugin "none": there is no fence, and the configuration says so. Initiators hear a stop as it
 * is. The daemon calls none of the operations below, because DROPS_NOTHING is set.
 */
#include <holdfast/fence.h>

#include <errno.h>

static int32_t none_open(const void *config, const char *instance, void **ret_handle,
                         struct hf_error *error)
{
    (void)config, (void)instance, (void)error;
    *ret_handle = NULL;
    return 0;
}

/* Whoever calls it all the same must not believe that packets are dropped. */
static int32_t none_raise(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                          uint64_t max_age_ns, struct hf_error *error)
{
    (void)handle, (void)portals, (void)count, (void)max_age_ns, (void)error;
    return -EOPNOTSUPP;
}

static int32_t none_lower(void *handle, struct hf_error *error)
{
    (void)handle, (void)error;
    return 0;
}

static void none_close(void *handle)
{
    (void)handle;
}

static int32_t none_clean(void *handle, uint32_t *ret_up, struct hf_error *error)
{
    (void)handle, (void)error;
    *ret_up = 0;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_fence_ops ops = {
        .size = sizeof(struct hf_fence_ops),
        .flags = HF_FENCE_DROPS_NOTHING,
        .open = none_open,
        .raise = none_raise,
        .lower = none_lower,
        .close = none_close,
        .clean = none_clean,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(struct hf_plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_FENCE,
        .name = "none",
        .version = HOLDFAST_VERSION,
        .summary = "no fence: initiators hear a stop as it is",
        .ops = &ops,
    };
    return &plugin;
}
