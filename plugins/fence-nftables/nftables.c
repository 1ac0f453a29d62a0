/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fence plugin "nftables": drops packets by a table of its own (nftables.h). This file is the plugin
 * and its verbs; rules.c knows the words, command.c the library.
 */
#include "nftables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MAX 128

const struct hf_host *nftables_host;

static int32_t no_memory(struct hf_error *error)
{
    return nftables_host->fail(error, ENOMEM, "no memory");
}

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

static int32_t nftables_open(const void *config, const char *instance, void **ret_handle,
                             struct hf_error *error)
{
    (void)config;
    struct fence *f = calloc(1, sizeof(*f));
    if (!f)
        return no_memory(error);
    snprintf(f->table, sizeof(f->table), "holdfast_%.32s", instance);
    int r = boot_id(f->boot, sizeof(f->boot));
    if (r < 0) {
        free(f);
        return nftables_host->fail(error, -r, "no boot id: %s", strerror(-r));
    }
    f->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!f->nft || nft_ctx_buffer_output(f->nft) != 0 || nft_ctx_buffer_error(f->nft) != 0) {
        nft_ctx_free(f->nft);
        free(f);
        return no_memory(error);
    }
    nft_ctx_output_set_flags(f->nft, NFT_CTX_OUTPUT_NUMERIC_ALL);
    *ret_handle = f;
    return 0;
}

static void nftables_close(void *handle)
{
    struct fence *f = handle;
    nft_ctx_free(f->nft);
    free(f);
}

/* Runs and frees `text`. */
static int run(struct fence *f, char *text, struct hf_error *error)
{
    if (!text)
        return no_memory(error);
    int r = command_run(f, text, NULL, error);
    free(text);
    return r;
}

/* ---- seen to be in force ---- */

static bool is_used(const struct hf_fence_portal *portals, uint32_t count, enum set set)
{
    for (uint32_t i = 0; i < count; i++)
        if (rules_set_of(rules_portal(portals, i)) == set)
            return true;
    return false;
}

static int check_chain(struct fence *f, const char *chain, bool outgoing,
                       const struct hf_fence_portal *portals, uint32_t count,
                       struct hf_error *error)
{
    char text[COMMAND_MAX];
    const char *listing;

    snprintf(text, sizeof(text), "list chain inet %s %s", f->table, chain);
    int r = command_run(f, text, &listing, error);
    if (r < 0)
        return r;
    bool good = strstr(listing, outgoing ? "hook output" : "hook input") != NULL;
    for (enum set set = 0; good && set < SET_COUNT; set++)
        good = !is_used(portals, count, set) || rules_listed(listing, set, outgoing);
    return good ? 0 : nftables_host->fail(error, EIO, "chain %s is not as it was made", chain);
}

static int check(struct fence *f, const struct hf_fence_portal *portals, uint32_t count,
                 struct hf_error *error)
{
    int r = check_chain(f, "in", false, portals, count, error);
    if (r == 0)
        r = check_chain(f, "out", true, portals, count, error);
    for (enum set set = 0; r == 0 && set < SET_COUNT; set++)
        if (is_used(portals, count, set))
            r = run(f, rules_members(f, portals, count, set), error);
    return r;
}

/* ---- the verbs ---- */

static int32_t nftables_raise(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                              uint64_t max_age_ns, struct hf_error *error)
{
    int r = run(handle, rules_raise(handle, portals, count, max_age_ns), error);
    return r == 0 ? check(handle, portals, count, error) : r;
}

static int32_t nftables_lower(void *handle, struct hf_error *error)
{
    return run(handle, rules_lower(handle), error);
}

/* *ret_listing is "" when there is no such table. */
static int list_table(struct fence *f, const char **ret_listing, struct hf_error *error)
{
    char text[COMMAND_MAX], line[COMMAND_MAX];
    const char *tables;

    *ret_listing = "";
    int r = command_run(f, "list tables inet", &tables, error);
    snprintf(line, sizeof(line), "table inet %s\n", f->table);
    if (r < 0 || !strstr(tables, line))
        return r;
    snprintf(text, sizeof(text), "list table inet %s", f->table);
    return command_run(f, text, ret_listing, error);
}

/* Members are listed with the time they have left; those whose time is over are not listed. */
static int32_t nftables_clean(void *handle, uint32_t *ret_up, struct hf_error *error)
{
    struct fence *f = handle;
    char boot[BOOT_ID_MAX + 16];
    const char *listing;

    int r = list_table(f, &listing, error);
    if (r < 0)
        return r;
    snprintf(boot, sizeof(boot), "holdfast boot=%s\"", f->boot);
    *ret_up = strstr(listing, boot) && strstr(listing, " expires ");
    if (*ret_up || listing[0] == '\0')
        return 0;
    return nftables_lower(handle, error);
}

static int32_t nftables_load(const struct hf_host *host, struct hf_error *error)
{
    (void)error;
    nftables_host = host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_fence_ops ops = {
        .size = sizeof(struct hf_fence_ops),
        .open = nftables_open,
        .raise = nftables_raise,
        .lower = nftables_lower,
        .close = nftables_close,
        .clean = nftables_clean,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(struct hf_plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_FENCE,
        .name = "nftables",
        .version = HOLDFAST_VERSION,
        .summary = "drops the portals' packets by an nftables table of its own",
        .ops = &ops,
        .load = nftables_load,
    };
    return &plugin;
}
