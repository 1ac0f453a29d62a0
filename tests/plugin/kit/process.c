/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one process to the next: what has to be there after a kill -9, and after a hand-over. The first
 * process is a child that does its half and then holds still, so that its memfds can be taken over (the
 * keeper's part in service); it is killed, and the LUN is opened here.
 */
#include "kit.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLUSHED  (16 * kit.block) /* places */
#define FORCED   (128 * kit.block)
#define ANSWERED (256 * kit.block)
#define BYTES    (64 * kit.block)

static pid_t start_half(void (*half)(void), int *ret_fd)
{
    int ends[2];
    if (pipe(ends) < 0)
        g_error("pipe: %s", g_strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        half();
        if (write(ends[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

/* False: it did not come to its end (and has said why, or crashed). */
static bool run_half(void (*half)(void))
{
    char byte;
    int fd, status;
    rig_share_memfds();
    pid_t pid = start_half(half, &fd);
    bool over = read(fd, &byte, 1) == 1;
    if (over)
        rig_take_memfds();
    close(fd);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!over && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        kit_finding("crash", "the first process ended by signal %d", WTERMSIG(status));
    return over;
}

/* ----------------------------------------------------------------------------------------- kill */

static void write_forced(void)
{
    void *data = kit_buffer(BYTES);
    kit_pattern(data, FORCED, BYTES, 12);
    kit_expect_done(rig_write(&kit.rig, kit.backend, FORCED, data, BYTES, BACKEND_IO_FUA),
                    "a write with FUA");
    free(data);
}

static void half_before_kill(void)
{
    kit_open();
    if (kit_has(BACKEND_FEATURE_READ_ONLY))
        return;
    kit_write_pattern(FLUSHED, BYTES, 11);
    if (kit_has(BACKEND_FEATURE_VOLATILE_CACHE))
        kit_expect_done(rig_do(&kit.rig, kit.backend, BACKEND_FLUSH, 0, 0, 0), "a flush");
    if (kit_has(BACKEND_FEATURE_FUA))
        write_forced();
    if (!kit_has(BACKEND_FEATURE_VOLATILE_CACHE))
        kit_write_pattern(ANSWERED, BYTES, 13);
}

static void stable_data_outlives_a_kill(void)
{
    if (kit.forgets) {
        kit_skip("the contents go with the process");
        return;
    }
    if (!run_half(half_before_kill))
        return;
    kit_open();
    kit.data_finding = "lost-data";
    if (kit_writable()) {
        kit_read_pattern(FLUSHED, BYTES, 11);
        if (kit_has(BACKEND_FEATURE_FUA))
            kit_read_pattern(FORCED, BYTES, 12);
        if (!kit_has(BACKEND_FEATURE_VOLATILE_CACHE))
            kit_read_pattern(ANSWERED, BYTES, 13);
    }
    kit_close();
}

/* ------------------------------------------------------------------------------------- hand-over */

static void half_before_hand_over(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    kit_open();
    if (!kit_has(BACKEND_FEATURE_READ_ONLY))
        kit_write_pattern(ANSWERED, BYTES, 21);
    if (storage_save(kit.backend, &error) < 0)
        kit_finding("save-failed", "%s", error.text);
    if (!kit.backend->info.store_arena) /* a store stays open until the process ends */
        kit_close();
}

static void save_and_restore(void)
{
    if (kit.forgets) {
        kit_skip("the contents go with the process");
        return;
    }
    if (!run_half(half_before_hand_over))
        return;
    kit_open();
    kit.data_finding = "lost-data";
    if (kit_writable()) {
        kit_read_pattern(ANSWERED, BYTES, 21);
        kit_write_pattern(ANSWERED, BYTES, 22);
        kit_read_pattern(ANSWERED, BYTES, 22);
    }
    kit_close();
}

static const struct kit_case cases[] = {
    { "/process/stable-data-outlives-a-kill", stable_data_outlives_a_kill },
    { "/process/save-and-restore", save_and_restore },
};

void kit_add_process_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
