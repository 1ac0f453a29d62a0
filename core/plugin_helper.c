/* SPDX-License-Identifier: BSD-3-Clause */
/* See plugin_helper.h. It is the user that the worker will be. */
#include "plugin_helper.h"

#include "check.h"
#include "config/file.h"
#include "config/model.h"
#include "keeper/trial.h"
#include "plugin/trial.h"
#include "privileges.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* The line of the first file that is of no use. */
static int report(struct config_problems *problems)
{
    const struct hf_error *worst = trial_worst();
    if (worst->code == 0)
        return 0;
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        const struct config_problem *p = config_problems_get(problems, i);
        g_autofree char *line = config_problem_format(p);
        if (strstr(line, worst->text) != NULL) {
            puts(line);
            return 1;
        }
    }
    puts(worst->text);
    return 1;
}

int plugin_helper_run(int argc, char **argv)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    char *text = NULL;
    size_t length = 0;

    prctl(PR_SET_NAME, "holdfast-trial");
    if (argc != 3)
        return 2;
    if (config_file_read_fd(TRIAL_FD_CONFIG, &text, &length) < 0 ||
        config_parse(text, length, argv[2], &config, problems) < 0)
        return 0;
    if (privileges_worker(config->daemon.user, /* sandbox= */ false) < 0)
        return 0;
    trial_begin();
    check_plugins(config, problems);
    return report(problems);
}
