/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other side of renew.c: a keeper that has just become this binary. Listeners, connections and memory are
 * taken as from the service manager (resume.c); then the worker, which serves all the while, and the
 * counters. A binary that cannot do so becomes the one before again.
 */
#include "keeper/heritage.h"
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

static void adopt_worker(struct keeper *k, const struct heritage *h)
{
    struct worker *w = &k->worker;
    *w = (struct worker){ .state = WORKER_READY,
                          .generation = h->worker.generation,
                          .pid = h->worker.pid,
                          .pidfd = h->worker.pid_fd,
                          .tombstone = h->worker.tombstone_fd,
                          .store = &k->store,
                          .go_sent = true,
                          .started_ns = h->worker.started_ns,
                          .ready_ns = h->worker.ready_ns };
    link_init(&w->link, h->worker.link_fd);
    w->stored = store_keep(&k->store, STORE_TOMBSTONE, w->generation, 0, w->tombstone,
                           /* inherited= */ true);
}

/* The other binary could not go on, and has made us what we were. */
static void came_back(struct keeper *k)
{
    k->status.keepers.count--;
    k->status.keepers.failures++;
    k->report.keeper = LINK_KEEPER_FAILED;
    g_strlcpy(k->report.keeper_why, "the new one could not go on, see the log",
              sizeof(k->report.keeper_why));
}

int adopt(struct keeper *k, const struct heritage *h)
{
    adopt_worker(k, h);
    connections_adopt(&k->connections, k->worker.generation);
    memory_adopt(&k->memory, k->worker.generation);
    close(k->exe);
    k->exe = h->exe_fd;
    k->previous_exe = h->previous_fd;
    g_free(k->exe_path);
    k->exe_path = g_strdup(h->exe_path);
    close(h->text_fd);
    close(h->fd);
    k->layout = h->layout;
    k->upgraded_ns = h->upgraded_ns;
    k->failures = h->failures;
    k->status = h->status;
    k->report = h->report;
    if (renew_same_file(h->before_fd, k->renew.self))
        came_back(k);
    close(h->before_fd);
    k->ever_ready = true;
    k->died = false;
    int r = source_watch(k, &k->worker_exit, k->worker.pidfd, EPOLLIN);
    if (r == 0)
        r = source_watch(k, &k->worker_link, k->worker.link.fd, EPOLLIN);
    prctl(PR_SET_NAME, "holdfastd"); /* it would be the number of a descriptor */
    return r;
}

void adopt_go_back(const struct keeper_args *args)
{
    const struct heritage *h = args->heritage;
    char *argv[] = { (char *)"holdfastd", (char *)"-c", (char *)args->file, NULL };
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (h->before_fd < 0 || renew_same_file(self, h->before_fd) ||
        heritage_pass_on(h, getpid()) < 0)
        return; /* this one is the one before, and cannot go on either */
    log_error("keeper", "this binary cannot go on: back to the one before");
    execveat(h->before_fd, "", argv, environ, AT_EMPTY_PATH);
}

const char *keeper_try(struct heritage *h, const struct config *config)
{
    struct inheritance all;
    struct record record = { .fd = -1 };
    const char *why = heritage_check(h);
    if (why != NULL)
        return why;
    heritage_to_inherit(h, &all);
    int fd = inherit_take(&all, STORE_STATE, 0);
    int r = fd >= 0 ? record_open(&record, fd) : -EBADF;
    struct record_text *text = r == 0 ? record_read(&record) : NULL;
    if (text == NULL)
        return "the record cannot be read";
    record_text_free(text);
    for (unsigned i = 0; i < config->portal_count; i++)
        for (unsigned j = 0; j < config->portals[i].listen_count; j++)
            if (inherit_take_listener(&all, &config->portals[i].listen[j].address, NULL) < 0)
                return "a listening socket of the configuration is missing";
    return kill(h->worker.pid, 0) < 0 && errno == ESRCH ? "there is no such worker" : NULL;
}
