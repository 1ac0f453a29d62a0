/* SPDX-License-Identifier: BSD-3-Clause */
/* Options: what is missing or points nowhere is refused with a text; judging them changes nothing. */
#include "kit.h"

#include <glib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 64
#define NOWHERE     "/nonexistent/holdfast-plugin-test/disk"

/* Opens with other options; a refusal needs words. */
static void open_or_be_told(const char *const *options, const char *what)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const char *const *before = kit.lun.options;
    kit.lun.options = options;
    int r = kit_try_open(&error);
    if (r == 0)
        kit_close();
    else if (strcmp(error.text, g_strerror(-r)) == 0) /* the bridge's, for want of another */
        kit_finding("silent-failure", "%s: refused without a word of why", what);
    else
        kit_note("%s: %s", what, error.text);
    kit.lun.options = before;
}

static unsigned count_options(void)
{
    unsigned n = 0;
    while (kit.lun.options[n])
        n++;
    return n;
}

static void each_can_be_left_out(void)
{
    unsigned count = count_options();
    if (count == 0)
        kit_skip("no options are given");
    for (unsigned i = 0; i < count && count < OPTIONS_MAX; i++) {
        const char *fewer[OPTIONS_MAX] = { NULL };
        for (unsigned from = 0, to = 0; from < count; from++)
            if (from != i)
                fewer[to++] = kit.lun.options[from];
        g_autofree char *what = g_strdup_printf("without %s", kit.lun.options[i]);
        open_or_be_told(fewer, what);
    }
}

static bool is_path(const char *option)
{
    for (const struct hf_option *row = kit.lun.plugin->info.options; row && row->name; row++) {
        size_t length = strlen(row->name);
        if (row->type == HF_OPTION_PATH && strncmp(option, row->name, length) == 0 &&
            option[length] == '=')
            return true;
    }
    return false;
}

static void paths_to_nowhere(void)
{
    unsigned count = count_options(), paths = 0;
    kit_start();
    for (unsigned i = 0; i < count && count < OPTIONS_MAX; i++) {
        const char *other[OPTIONS_MAX] = { NULL };
        if (!is_path(kit.lun.options[i]))
            continue;
        memcpy(other, kit.lun.options, count * sizeof(*other));
        g_autofree char *nowhere = g_strdup_printf(
            "%.*s=" NOWHERE, (int)strcspn(kit.lun.options[i], "="), kit.lun.options[i]);
        other[i] = nowhere;
        open_or_be_told(other, nowhere);
        paths++;
    }
    if (paths == 0)
        kit_skip("no path is given");
}

/* The paths that are given and lead to something; a bit each. */
static uint64_t paths_there(void)
{
    uint64_t there = 0;
    for (unsigned i = 0; i < count_options() && i < 64; i++)
        if (is_path(kit.lun.options[i]) && access(strchr(kit.lun.options[i], '=') + 1, F_OK) == 0)
            there |= UINT64_C(1) << i;
    return there;
}

static void judging_changes_nothing(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    kit_start();
    uint64_t there = paths_there();
    unsigned files = kit_count("/proc/self/fd"), threads = kit_count("/proc/self/task");
    for (int i = 0; i < 20; i++)
        if (rig_judge(&kit.lun, &error) < 0)
            kit_finding("options-refused", "%s", error.text);
    if (kit_count("/proc/self/fd") >= files + 20)
        kit_finding("leaked-descriptor", "validate() leaves descriptors open");
    if (kit_count("/proc/self/task") >= threads + 20)
        kit_finding("leaked-thread", "validate() leaves threads behind");
    if (paths_there() != there)
        kit_finding("side-effect", "validate() made or removed what a path leads to");
}

static const struct kit_case cases[] = {
    { "/options/judging-them-changes-nothing", judging_changes_nothing },
    { "/options/each-can-be-left-out", each_can_be_left_out },
    { "/options/paths-to-nowhere", paths_to_nowhere },
};

void kit_add_options_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
