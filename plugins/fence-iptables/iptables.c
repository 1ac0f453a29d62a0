/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fence plugin "iptables", for machines whose firewall is made of it: see iptables.h for what it
 * makes. This file is the plugin, its options and its verbs; family.c does one family.
 */
#include "iptables.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTANCE_SHORT 15 /* such a name fits into that of a chain */

const struct hf_host *iptables_host;

struct config {
    uint32_t backend;
    uint32_t reserved;
};

static const char *const backend_words[] = { "default", "nft", "legacy", NULL };

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_CHOICE,
      .name = "backend",
      .help = "programs to use: iptables, iptables-nft or iptables-legacy (and ip6tables)",
      .default_value = "default",
      .change = HF_CHANGE_LIVE,
      .offset = offsetof(struct config, backend),
      .choices = backend_words },
    { .size = 0 },
};

/* ---- open ---- */

static int boot_id(char *boot, size_t max)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, boot, max - 1);
    close(fd);
    if (n <= 0)
        return -EIO;
    boot[n] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    return 0;
}

/* A long instance is shortened in a way that keeps two of them apart. */
static void name_chains(struct fence *f, const char *instance)
{
    char name[INSTANCE_SHORT + 1];
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

    for (const char *at = instance; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    if (strlen(instance) <= INSTANCE_SHORT)
        memcpy(name, instance, strlen(instance) + 1);
    else
        snprintf(name, sizeof(name), "%015" PRIx64, hash & 0xfffffffffffffffu);
    snprintf(f->chain_in, sizeof(f->chain_in), "holdfast-%s-in", name);
    snprintf(f->chain_out, sizeof(f->chain_out), "holdfast-%s-out", name);
}

static bool find_programs(struct family *family, uint32_t backend)
{
    static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin" };
    static const char *const suffixes[] = { "", "-nft", "-legacy" };
    const char *name = family->number == HF_FENCE_IPV4 ? "iptables" : "ip6tables";

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(family->program, sizeof(family->program), "%s/%s%s", folders[i], name,
                 suffixes[backend]);
        snprintf(family->restore, sizeof(family->restore), "%s/%s%s-restore", folders[i], name,
                 suffixes[backend]);
        if (access(family->program, X_OK) == 0 && access(family->restore, X_OK) == 0)
            return true;
    }
    return false;
}

static int find_families(struct fence *f, uint32_t backend, struct hf_error *error)
{
    struct family *v4 = &f->families[0], *v6 = &f->families[1];

    v4->number = HF_FENCE_IPV4;
    v6->number = HF_FENCE_IPV6;
    v4->there = find_programs(v4, backend);
    v6->there = access("/proc/net/if_inet6", F_OK) == 0 && find_programs(v6, backend);
    if (v4->there || v6->there)
        return 0;
    return iptables_host->fail(error, ENOENT, "there is no iptables%s%s with its -restore",
                               backend == BACKEND_DEFAULT ? "" : "-",
                               backend == BACKEND_DEFAULT ? "" : backend_words[backend]);
}

static int init(struct fence *f, const struct config *config, const char *instance,
                struct hf_error *error)
{
    char boot[40];

    int r = boot_id(boot, sizeof(boot));
    if (r < 0)
        return iptables_host->fail(error, -r, "no boot id: %s", strerror(-r));
    snprintf(f->tag, sizeof(f->tag), "holdfast:%.32s:%s", instance, boot);
    name_chains(f, instance);
    return find_families(f, config->backend, error);
}

static int32_t iptables_open(const void *config, const char *instance, void **ret_handle,
                             struct hf_error *error)
{
    struct fence *f = calloc(1, sizeof(*f));
    if (!f)
        return iptables_host->fail(error, ENOMEM, "no memory");
    int r = init(f, config, instance, error);
    if (r < 0)
        free(f);
    else
        *ret_handle = f;
    return r;
}

static void iptables_close(void *handle)
{
    free(handle);
}

/* ---- verbs ---- */

static bool has_portal(const struct hf_fence_portal *portals, uint32_t count, uint16_t family)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_fence_portal *p =
            (const void *)((const char *)portals + (size_t)i * portals->size);
        if (p->family == family)
            return true;
    }
    return false;
}

/* Without a portal of a family what an earlier list left there goes. */
static int32_t iptables_raise(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                              uint64_t max_age_ns, struct hf_error *error)
{
    struct fence *f = handle;
    int r = 0;

    for (int i = 0; r == 0 && i < 2; i++) {
        const struct family *family = &f->families[i];
        if (has_portal(portals, count, family->number))
            r = family->there
                    ? family_raise(f, family, portals, count, max_age_ns, error)
                    : iptables_host->fail(error, ENOENT, "no %s for the IPv%u portals",
                                          i == 0 ? "iptables" : "ip6tables", family->number);
        else if (family->there)
            r = family_lower(f, family, error);
    }
    return r;
}

static int32_t iptables_lower(void *handle, struct hf_error *error)
{
    struct fence *f = handle;
    int r = 0;

    for (int i = 0; i < 2; i++) {
        int one = f->families[i].there ? family_lower(f, &f->families[i], error) : 0;
        r = r == 0 ? one : r;
    }
    return r;
}

static int32_t iptables_clean(void *handle, uint32_t *ret_up, struct hf_error *error)
{
    struct fence *f = handle;
    int r = 0;

    *ret_up = 0;
    for (int i = 0; i < 2; i++) {
        bool up = false;
        int one = f->families[i].there ? family_clean(f, &f->families[i], &up, error) : 0;
        r = r == 0 ? one : r;
        *ret_up |= up;
    }
    return r;
}

static int32_t iptables_load(const struct hf_host *host, struct hf_error *error)
{
    (void)error;
    iptables_host = host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_fence_ops ops = {
        .size = sizeof(struct hf_fence_ops),
        .flags = HF_FENCE_NEEDS_NET_RAW,
        .open = iptables_open,
        .raise = iptables_raise,
        .lower = iptables_lower,
        .close = iptables_close,
        .clean = iptables_clean,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(struct hf_plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_FENCE,
        .name = "iptables",
        .version = HOLDFAST_VERSION,
        .summary = "drops the portals' packets by iptables and ip6tables",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = iptables_load,
    };
    return &plugin;
}
