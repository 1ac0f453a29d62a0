/* SPDX-License-Identifier: BSD-3-Clause */
/* See heritage.h. */
#include "keeper/heritage.h"

#include "keeper/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENVIRONMENT "HOLDFAST_KEEPER" /* "PID FD" */
#define TEXT_MAX    (64u << 20)

/* ---- writing ---- */

static void put_fd(GString *text, int fd, const char *name)
{
    if (fd >= 0)
        g_string_append_printf(text, "fd %d %s\n", fd, name);
}

static void put_connection(void *user, uint32_t slot, uint32_t listener, int fd)
{
    g_string_append_printf(user, "fd %d connection.%u.%u\n", fd, slot, listener);
}

static void put_memory(void *user, uint32_t slot, uint32_t number, const char *name, int fd)
{
    g_string_append_printf(user, "fd %d memory.%u\n", fd, slot);
}

static void put_pauses(GString *text, const char *name, const struct status_pauses *p)
{
    g_string_append_printf(text, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", name,
                           (uint64_t)p->count, (uint64_t)p->failures, p->last_ns, p->total_ns);
}

static void put_report(GString *text, const struct link_upgrade *r)
{
    g_string_append_printf(text, "report %u %u %u %u %" PRIu64 " %u\n", r->number, r->state,
                           r->generation, r->pid, r->pause_ns, r->keeper);
    g_string_append_printf(text, "report-binary %s\nreport-why %s\n", r->binary, r->why);
}

static GString *compose(const struct keeper *k, int text_fd)
{
    const struct worker *w = &k->worker;
    const struct link_status *s = &k->status;
    GString *text = g_string_new("format 1\n");

    put_fd(text, k->record.fd, "state.0");
    put_fd(text, k->config_kept ? k->config_fd : -1, "config.0");
    put_fd(text, k->control.fd, "control.0");
    for (unsigned i = 0; i < k->portals.count; i++)
        g_string_append_printf(text, "fd %d listener.%u\n", k->portals.listeners[i].fd,
                               k->portals.listeners[i].number);
    connections_each(&k->connections, put_connection, text);
    memory_each(&k->memory, put_memory, text);
    g_string_append_printf(text, "text %d\nexe %d %s\nbefore %d\n", text_fd, k->exe, k->exe_path,
                           k->renew.self);
    if (k->state_lock >= 0)
        g_string_append_printf(text, "lock %d\n", k->state_lock);
    if (k->previous_exe >= 0)
        g_string_append_printf(text, "previous %d\n", k->previous_exe);
    g_string_append_printf(text, "worker %d %u %d %d %d %" PRIu64 " %" PRIu64 "\n", w->pid,
                           w->generation, w->link.fd, w->pidfd, w->tombstone, w->started_ns,
                           w->ready_ns);
    g_string_append_printf(text, "layout %" PRIu64 "\nupgraded %" PRIu64 "\nfailures %u\n",
                           k->layout, k->upgraded_ns, k->failures);
    g_string_append_printf(text, "refused %" PRIu64 "\ndeaths %u\nhow %s\n", s->refused, s->deaths,
                           s->how);
    put_pauses(text, "upgrades", &s->upgrades);
    put_pauses(text, "restarts", &s->restarts);
    put_pauses(text, "keepers", &s->keepers);
    put_report(text, &k->report);
    return text;
}

int heritage_write(const struct keeper *k, int *ret_fd)
{
    int fd = -1, text_fd = -1;
    int r = config_seal(k->text, k->text_bytes, &text_fd);
    if (r < 0)
        return r;
    g_autoptr(GString) text = compose(k, text_fd);
    r = config_seal(text->str, text->len, &fd);
    if (r < 0) {
        close(text_fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

/* ---- reading ---- */

static void add_fd(struct heritage *h, int fd, const char *name)
{
    struct heritage_fd one = { fd, g_strdup(name) };
    g_array_append_val(h->fds, one);
}

static int take_number(struct heritage *h, const char *value)
{
    int fd = (int)g_ascii_strtoll(value, NULL, 10);
    add_fd(h, fd, NULL);
    return fd;
}

static void take_fd(struct heritage *h, const char *value)
{
    int fd, at = 0;
    if (sscanf(value, "%d %n", &fd, &at) == 1 && at != 0)
        add_fd(h, fd, value + at);
}

static void take_text(struct heritage *h, const char *value)
{
    h->text_fd = take_number(h, value);
}

static void take_exe(struct heritage *h, const char *value)
{
    const char *space = strchr(value, ' ');
    h->exe_fd = take_number(h, value);
    if (h->exe_path == NULL)
        h->exe_path = g_strdup(space != NULL ? space + 1 : "");
}

static void take_before(struct heritage *h, const char *value)
{
    h->before_fd = take_number(h, value);
}

static void take_lock(struct heritage *h, const char *value)
{
    h->lock_fd = take_number(h, value);
}

static void take_previous(struct heritage *h, const char *value)
{
    h->previous_fd = take_number(h, value);
}

static void take_worker(struct heritage *h, const char *value)
{
    int link, pidfd, tombstone, pid;
    unsigned generation;
    uint64_t started, ready;
    if (sscanf(value, "%d %u %d %d %d %" SCNu64 " %" SCNu64, &pid, &generation, &link, &pidfd,
               &tombstone, &started, &ready) != 7 ||
        pid <= 0)
        return;
    h->worker.pid = pid;
    h->worker.generation = generation;
    h->worker.link_fd = link;
    h->worker.pid_fd = pidfd;
    h->worker.tombstone_fd = tombstone;
    h->worker.started_ns = started;
    h->worker.ready_ns = ready;
    add_fd(h, link, NULL);
    add_fd(h, pidfd, NULL);
    add_fd(h, tombstone, NULL);
}

static void take_layout(struct heritage *h, const char *value)
{
    h->layout = g_ascii_strtoull(value, NULL, 10);
}

static void take_upgraded(struct heritage *h, const char *value)
{
    h->upgraded_ns = g_ascii_strtoull(value, NULL, 10);
}

static void take_failures(struct heritage *h, const char *value)
{
    h->failures = (unsigned)g_ascii_strtoull(value, NULL, 10);
}

static void take_refused(struct heritage *h, const char *value)
{
    h->status.refused = g_ascii_strtoull(value, NULL, 10);
}

static void take_deaths(struct heritage *h, const char *value)
{
    h->status.deaths = (uint32_t)g_ascii_strtoull(value, NULL, 10);
}

static void take_how(struct heritage *h, const char *value)
{
    g_strlcpy(h->status.how, value, sizeof(h->status.how));
}

static void take_pauses(struct status_pauses *p, const char *value)
{
    uint64_t count, failures, last, total;
    if (sscanf(value, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &count, &failures, &last,
               &total) != 4)
        return;
    p->count = count;
    p->failures = failures;
    p->last_ns = last;
    p->total_ns = total;
}

static void take_upgrades(struct heritage *h, const char *value)
{
    take_pauses(&h->status.upgrades, value);
}

static void take_restarts(struct heritage *h, const char *value)
{
    take_pauses(&h->status.restarts, value);
}

static void take_keepers(struct heritage *h, const char *value)
{
    take_pauses(&h->status.keepers, value);
}

static void take_report(struct heritage *h, const char *value)
{
    struct link_upgrade *r = &h->report;
    sscanf(value, "%u %u %u %u %" SCNu64 " %u", &r->number, &r->state, &r->generation, &r->pid,
           &r->pause_ns, &r->keeper);
}

static void take_report_binary(struct heritage *h, const char *value)
{
    g_strlcpy(h->report.binary, value, sizeof(h->report.binary));
}

static void take_report_why(struct heritage *h, const char *value)
{
    g_strlcpy(h->report.why, value, sizeof(h->report.why));
}

static const struct {
    const char *word;
    void (*take)(struct heritage *h, const char *value);
} words[] = {
    { "fd", take_fd },
    { "text", take_text },
    { "exe", take_exe },
    { "before", take_before },
    { "lock", take_lock },
    { "previous", take_previous },
    { "worker", take_worker },
    { "layout", take_layout },
    { "upgraded", take_upgraded },
    { "failures", take_failures },
    { "refused", take_refused },
    { "deaths", take_deaths },
    { "how", take_how },
    { "upgrades", take_upgrades },
    { "restarts", take_restarts },
    { "keepers", take_keepers },
    { "report", take_report },
    { "report-binary", take_report_binary },
    { "report-why", take_report_why },
};

static void take_line(struct heritage *h, char *line)
{
    char *value = strchr(line, ' ');
    if (value == NULL)
        return;
    *value++ = '\0';
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(words[i].word, line) == 0)
            words[i].take(h, value);
}

struct heritage *heritage_read(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > TEXT_MAX)
        return NULL;
    const char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    struct heritage *h = g_new0(struct heritage, 1);
    *h = (struct heritage){ .fd = fd,
                            .text_fd = -1,
                            .exe_fd = -1,
                            .previous_fd = -1,
                            .before_fd = -1,
                            .lock_fd = -1,
                            .fds = g_array_new(FALSE, FALSE, sizeof(struct heritage_fd)) };
    g_autofree char *text = g_strndup(map, (size_t)st.st_size);
    munmap((void *)map, (size_t)st.st_size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    bool ours = lines[0] != NULL && strcmp(lines[0], "format 1") == 0;
    for (char **line = lines; ours && *line != NULL; line++)
        take_line(h, *line);
    if (ours && h->worker.pid != 0 && h->text_fd >= 0 && h->exe_fd >= 0 && h->exe_path != NULL)
        return h;
    return heritage_free(h);
}

struct heritage *heritage_free(struct heritage *h)
{
    if (h == NULL)
        return NULL;
    for (unsigned i = 0; i < h->fds->len; i++)
        g_free(g_array_index(h->fds, struct heritage_fd, i).name);
    g_array_free(h->fds, TRUE);
    g_free(h->exe_path);
    g_free(h);
    return NULL;
}

/* ---- from one to the other ---- */

/* One that is not there any more is not passed on. */
static void set_close_on_exec(const struct heritage *h, int flags)
{
    fcntl(h->fd, F_SETFD, flags);
    for (unsigned i = 0; i < h->fds->len; i++)
        fcntl(g_array_index(h->fds, struct heritage_fd, i).fd, F_SETFD, flags);
}

int heritage_pass_on(const struct heritage *h, pid_t pid)
{
    char value[64];
    snprintf(value, sizeof(value), "%d %d", pid, h->fd);
    if (setenv(ENVIRONMENT, value, 1) < 0)
        return -errno;
    set_close_on_exec(h, 0);
    return 0;
}

void heritage_keep(const struct heritage *h)
{
    set_close_on_exec(h, FD_CLOEXEC);
    unsetenv(ENVIRONMENT);
}

int heritage_announced(void)
{
    const char *text = getenv(ENVIRONMENT);
    int pid = 0, fd = -1;
    bool ours = text != NULL && sscanf(text, "%d %d", &pid, &fd) == 2 && pid == getpid();
    unsetenv(ENVIRONMENT);
    return ours ? fd : -1;
}

void heritage_to_inherit(struct heritage *h, struct inheritance *ret_all)
{
    set_close_on_exec(h, FD_CLOEXEC);
    *ret_all = (struct inheritance){ .list = g_new0(struct inherited, h->fds->len) };
    for (unsigned i = 0; i < h->fds->len; i++) {
        struct heritage_fd *from = &g_array_index(h->fds, struct heritage_fd, i);
        if (from->name == NULL)
            continue;
        struct inherited *one = &ret_all->list[ret_all->count++];
        one->fd = from->fd;
        one->name = g_strdup(from->name);
        one->ours = store_parse_name(one->name, &one->kind, &one->number, &one->more);
        ret_all->any_ours |= one->ours;
    }
}

const char *heritage_check(const struct heritage *h)
{
    enum store_kind kind;
    uint32_t number, more;
    for (unsigned i = 0; i < h->fds->len; i++) {
        const struct heritage_fd *one = &g_array_index(h->fds, struct heritage_fd, i);
        if (fcntl(one->fd, F_GETFD) < 0)
            return "a descriptor is not there";
        if (one->name != NULL && !store_parse_name(one->name, &kind, &number, &more))
            return "there is something that is not known here";
    }
    return NULL;
}
