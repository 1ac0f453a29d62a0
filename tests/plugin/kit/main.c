/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast-plugin-test: does a plugin hold the promises of <holdfast/...>? Loads it through the daemon's
 * own loader and bridge, without a daemon, and prints TAP. See holdfast-plugin(3).
 *
 * The first 32 MiB of a handler's LUN are overwritten.
 */
#include "kit.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *glob;
static int patience_s = 60, block_size;
static gboolean read_only, keeps_nothing, forgets, fence, list;

static const GOptionEntry entries[] = {
    { "block-size", 0, 0, G_OPTION_ARG_INT, &block_size, "ask for blocks of N bytes", "N" },
    { "read-only", 0, 0, G_OPTION_ARG_NONE, &read_only, "open the LUN read-only", NULL },
    { "keeps-nothing", 0, 0, G_OPTION_ARG_NONE, &keeps_nothing, "reads are zeroes, always", NULL },
    { "volatile", 0, 0, G_OPTION_ARG_NONE, &forgets, "the contents go when the LUN is closed",
      NULL },
    { "case", 0, 0, G_OPTION_ARG_STRING, &glob, "run the cases whose names match", "GLOB" },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &patience_s, "seconds a case may take (60)", "S" },
    { "fence", 0, 0, G_OPTION_ARG_NONE, &fence, "fences may be raised (takes privileges)", NULL },
    { "list", 0, 0, G_OPTION_ARG_NONE, &list, "print the names of the cases", NULL },
    { NULL },
};

void kit_load(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (plugin_load_file(kit.path, &kit.lun.plugin, &error) < 0)
        kit_finding("not-loaded", "%s", error.text);
}

static void loads(void)
{
    kit_load();
    const struct hf_plugin *info = &kit.lun.plugin->info;
    kit_note("%s '%s', version %s, API %u.%u: %s", plugin_kind_name(info->kind), info->name,
             info->version, info->api_major, info->api_minor, info->summary);
}

/* Found out in a process of its own; 0 when it cannot be loaded. */
static uint32_t find_kind(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(plugin_load_file(kit.path, &kit.lun.plugin, &error) < 0
                  ? 0
                  : (int)kit.lun.plugin->info.kind);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0;
}

static void add_handler_cases(void)
{
    kit_add_options_cases();
    kit_add_life_cases();
    kit_add_transfer_cases();
    kit_add_provisioning_cases();
    kit_add_stress_cases();
    kit_add_process_cases();
}

/* `kind` 0: those of every kind, for --list. */
static void add_cases(uint32_t kind)
{
    static const struct kit_case first = { "/table/loads", loads };
    kit_add(&first, 1);
    if (kind == HF_KIND_HANDLER || kind == 0)
        add_handler_cases();
    if (kind == HF_KIND_AUTH || kind == 0)
        kit_add_auth_cases();
    if (kind == HF_KIND_FENCE || kind == 0)
        kit_add_fence_cases();
}

static int usage(const char *why)
{
    g_printerr(
        "holdfast-plugin-test: %s\n"
        "usage: holdfast-plugin-test [OPTION...] PLUGIN.so [KEY=VALUE...]; --help says more\n",
        why);
    return 2;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("PLUGIN.so [KEY=VALUE...]");
    g_option_context_set_summary(context,
                                 "Conformance kit for plugins of the Holdfast iSCSI target.\n"
                                 "Exit code: 0 no finding, 1 findings, 2 usage.");
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_strict_posix(context, TRUE);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        return usage(error->message);
    if (list) {
        add_cases(0);
        kit_list();
        return 0;
    }
    if (argc < 2)
        return usage("no plugin is named");
    for (int i = 2; i < argc; i++)
        if (!strchr(argv[i], '='))
            return usage("an option of the plugin is KEY=VALUE");
    if (patience_s < 1 || (block_size != 0 && block_size != 512 && block_size != 4096))
        return usage("--timeout is at least 1, --block-size is 512 or 4096");
    kit.path = argv[1];
    kit.lun.options = (const char *const *)&argv[2];
    kit.lun.block_bytes = (unsigned)block_size;
    kit.lun.read_only = read_only;
    kit.keeps_nothing = keeps_nothing;
    kit.forgets = forgets;
    kit.fence = fence;
    add_cases(find_kind());
    return kit_run(glob, (unsigned)patience_s) ? 1 : 0;
}
