/* SPDX-License-Identifier: BSD-3-Clause */
/* See record.h. One line a fact: "generation 7", "memory 3 0 lun:iqn.../0". What is not known is skipped. */
#include "keeper/record.h"

#include "keeper/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAGIC UINT64_C(0x68662d6b65657031)
#define RECORD_HALF  (4u << 20) /* memory costs only what is touched */
#define RECORD_BYTES (4096 + 2 * RECORD_HALF)
#define NUMBERS_MAX  (MEMORY_ENTRIES_MAX * 16) /* holes included */

struct record_head {
    uint64_t magic;
    _Atomic uint32_t current; /* 1 or 2: that half; 0: none yet */
    uint32_t bytes[2];
};

static char *half(const struct record *record, unsigned i)
{
    return (char *)record->head + 4096 + i * RECORD_HALF;
}

int record_open(struct record *record, int fd)
{
    struct stat st;
    bool new = fd < 0;

    *record = (struct record){ .fd = -1 };
    if (new)
        fd = memfd_create("holdfast-keeper", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = new &&ftruncate(fd, RECORD_BYTES) < 0 ? -errno : 0;
    if (r == 0 && (fstat(fd, &st) < 0 || st.st_size != RECORD_BYTES))
        r = -EBADMSG;
    void *map =
        r == 0 ? mmap(NULL, RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (r == 0 && map == MAP_FAILED)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    record->fd = fd;
    record->head = map;
    if (new)
        record->head->magic = RECORD_MAGIC;
    return 0;
}

void record_close(struct record *record)
{
    if (record->fd < 0)
        return;
    munmap(record->head, RECORD_BYTES);
    close(record->fd);
    *record = (struct record){ .fd = -1 };
}

static void put_memory(void *user, uint32_t slot, uint32_t number, const char *name, int fd)
{
    g_string_append_printf(user, "memory %u %u %s\n", slot, number, name);
}

void record_write(struct keeper *k)
{
    struct record *record = &k->record;
    record->generation = k->generation;
    if (record->fd < 0)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "generation %u\nstart %" PRIu64 "\n", k->generation, k->start_ns);
    if (k->config_kept)
        g_string_append_printf(text, "config %s\n", resume_config_sum(k));
    for (unsigned i = 0; i < k->portals.count; i++) {
        const struct portal_listener *l = &k->portals.listeners[i];
        char address[ADDRESS_TEXT_MAX];
        g_string_append_printf(text, "listener %u %s\n", l->number,
                               address_format(&l->portal->listen[l->index].address, address));
    }
    memory_each(&k->memory, put_memory, text);
    if (text->len > RECORD_HALF)
        return; /* more names than there can be */
    unsigned other = atomic_load(&record->head->current) == 1 ? 1 : 0;
    memcpy(half(record, other), text->str, text->len);
    record->head->bytes[other] = (uint32_t)text->len;
    atomic_store(&record->head->current, other + 1);
}

/* ---- reading ---- */

static void take_entry(GPtrArray *array, const char *line)
{
    unsigned number;
    int at = 0;

    if (sscanf(line, "%u %n", &number, &at) < 1 || at == 0 || number >= NUMBERS_MAX)
        return;
    if (number >= array->len)
        g_ptr_array_set_size(array, (gint)number + 1);
    g_free(array->pdata[number]);
    array->pdata[number] = g_strdup(line + at);
}

static void take_line(struct record_text *t, const char *line)
{
    const char *space = strchr(line, ' ');
    if (space == NULL)
        return;
    if (g_str_has_prefix(line, "generation "))
        t->generation = (unsigned)g_ascii_strtoull(space, NULL, 10);
    else if (g_str_has_prefix(line, "start "))
        t->start_ns = g_ascii_strtoull(space, NULL, 10);
    else if (g_str_has_prefix(line, "listener "))
        take_entry(t->listeners, space + 1);
    else if (g_str_has_prefix(line, "memory "))
        take_entry(t->memory, space + 1);
    else if (g_str_has_prefix(line, "config ") && t->config == NULL)
        t->config = g_strdup(space + 1);
}

struct record_text *record_read(const struct record *record)
{
    const struct record_head *head = record->head;
    unsigned current = record->fd < 0 ? 0 : atomic_load(&head->current);

    if (record->fd < 0 || head->magic != RECORD_MAGIC || current < 1 || current > 2 ||
        head->bytes[current - 1] > RECORD_HALF)
        return NULL;
    struct record_text *t = g_new0(struct record_text, 1);
    t->listeners = g_ptr_array_new_with_free_func(g_free);
    t->memory = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = g_strndup(half(record, current - 1), head->bytes[current - 1]);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++)
        take_line(t, *line);
    return t;
}

const char *record_entry(const GPtrArray *array, uint32_t i)
{
    return i < array->len ? array->pdata[i] : NULL;
}

struct record_text *record_text_free(struct record_text *t)
{
    if (t == NULL)
        return NULL;
    g_free(t->config);
    g_ptr_array_unref(t->listeners);
    g_ptr_array_unref(t->memory);
    g_free(t);
    return NULL;
}
