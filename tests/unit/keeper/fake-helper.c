/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake-helper.h. The folder of both files is told by the environment. */
#include "fake-helper.h"

#include "keeper/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "HOLDFAST_TEST_FENCE"

static char *place(const char *name)
{
    return g_build_filename(g_getenv(FOLDER), name, NULL);
}

/* --- in the helper --- */

static void note(const char *verb)
{
    g_autofree char *path = place("verbs"), *line = g_strdup_printf("%s\n", verb);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, strlen(line)) < 0)
        exit(90);
    close(fd);
}

int fake_helper_run(int argc, char **argv)
{
    g_autofree char *text = NULL;
    struct stat st;

    if (argc != 6 || strlen(argv[3]) != 12 || atoi(argv[4]) != FENCE_MAX_AGE_MS ||
        fstat(FENCE_HELPER_FD_CONFIG, &st) < 0 || st.st_size == 0)
        return 91;
    for (int fd = FENCE_HELPER_FD_CONFIG + 1; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 92; /* a descriptor that is not ours came through */
    }
    note(argv[2]);
    g_autofree char *path = place(argv[2]);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    while (atoi(text) < 0)
        pause();
    return atoi(text);
}

/* --- in the test --- */

void fence_prepare(void)
{
    g_autofree char *folder = g_dir_make_tmp("holdfast-test-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_setenv(FOLDER, folder, TRUE);
}

void fence_host_start(struct host *h)
{
    host_start(h, "{ log-level: debug }\nfence: { plugin: fake }\n");
}

void fence_answer(const char *verb, int code)
{
    g_autofree char *path = place(verb), *text = g_strdup_printf("%d", code);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char **verbs(void)
{
    g_autofree char *path = place("verbs"), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_new0(char *, 1);
    g_strchomp(text);
    return g_strsplit(text, "\n", -1);
}

unsigned fence_count(void)
{
    g_auto(GStrv) all = verbs();
    return g_strv_length(all);
}

void fence_expect(unsigned from, const char *wanted)
{
    for (int i = 0; i < HARNESS_TIMEOUT_MS; i++) {
        g_auto(GStrv) all = verbs();
        if (g_strv_length(all) > from) {
            g_autofree char *seen = g_strjoinv(" ", all + from);
            if (g_str_has_prefix(seen, wanted))
                return;
            if (!g_str_has_prefix(wanted, seen))
                g_error("the helper is told to '%s', not to '%s'", seen, wanted);
        }
        g_usleep(1000);
    }
    g_error("the helper is never told to '%s'", wanted);
}

void fence_host_end(struct host *h, int code)
{
    static const char *const names[] = { "verbs", "clean", "raise", "lower" };

    host_expect_exit(h, code);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = place(names[i]);
        g_unlink(path);
    }
    g_rmdir(g_getenv(FOLDER));
    g_unsetenv(FOLDER);
}
