/* SPDX-License-Identifier: BSD-3-Clause */
/* State that outlives the worker; see keep.h. */
#include "scsi/keep.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define KEEP_MAGIC   0x4846554bu
#define KEEP_VERSION 2

static bool usable(const struct keep_data *data)
{
    return data->magic == KEEP_MAGIC && data->version == KEEP_VERSION &&
           data->bytes == sizeof(*data);
}

static struct keep_data *map(const struct scsi_services *services, const char *target, unsigned lun,
                             bool *ret_existed)
{
    g_autofree char *name = g_strdup_printf("keep:unit:%s/%u", target, lun);
    int fd, r = services->memfd_get(services->user, name, sizeof(struct keep_data), &fd, ret_existed);
    void *data = MAP_FAILED;

    if (r == 0) {
        data = mmap(NULL, sizeof(struct keep_data), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        r = data == MAP_FAILED ? -errno : 0;
        close(fd);
    }
    if (r < 0) {
        log_warning("scsi", "a unit's state will not outlive the worker target=%s lun=%u error=\"%s\"",
                    target, lun, g_strerror(-r));
        return NULL;
    }
    return data;
}

static void owner_unknown(struct scsi_keep *keep)
{
    keep->data->owner.used = 0;
    atomic_fetch_add(&keep->data->owner.sequence, 1);
}

int scsi_keep_open(struct scsi_keep *keep, const struct scsi_services *services,
                   const char *target, unsigned lun)
{
    keep->existed = false;
    keep->data = services && services->memfd_get ? map(services, target, lun, &keep->existed) : NULL;
    keep->mapped = keep->data != NULL;
    if (!keep->data)
        keep->data = g_try_new0(struct keep_data, 1);
    if (!keep->data)
        return -ENOMEM;
    keep->existed = keep->existed && usable(keep->data);
    if (keep->existed) {
        if (atomic_load(&keep->data->owner.sequence) & 1) /* it died while it was writing */
            owner_unknown(keep);
        return 0;
    }
    memset(keep->data, 0, offsetof(struct keep_data, table));
    for (unsigned i = 0; i < SCSI_UA_SLOTS; i++) /* one lap ago: not written yet */
        atomic_init(&keep->data->attentions.slot[i], (uint64_t)(uint16_t)(i - SCSI_UA_SLOTS) << 48);
    keep->data->bytes = sizeof(struct keep_data);
    keep->data->version = KEEP_VERSION;
    keep->data->magic = KEEP_MAGIC;
    return 0;
}

void scsi_keep_close(struct scsi_keep *keep)
{
    if (keep->mapped)
        munmap(keep->data, sizeof(struct keep_data));
    else
        g_free(keep->data);
    keep->data = NULL;
}

void scsi_keep_table(struct scsi_keep *keep, const struct pr_table *table)
{
    struct keep_data *data = keep->data;
    uint32_t next = atomic_load(&data->table_at) == 1 ? 2 : 1;

    pr_record_write(table, data->table[next - 1]);
    atomic_store(&data->table_at, next);
}

struct pr_table *scsi_keep_get_table(const struct scsi_keep *keep)
{
    struct pr_table *table = NULL;
    uint32_t at = atomic_load(&keep->data->table_at);

    if (at == 1 || at == 2)
        pr_record_read(keep->data->table[at - 1], PR_RECORD_BYTES_MAX, &table);
    return table;
}

void scsi_keep_owner(struct scsi_keep *keep, const struct pr_name *name)
{
    struct keep_owner *owner = &keep->data->owner;

    atomic_fetch_add(&owner->sequence, 1);
    owner->used = name != NULL;
    if (name)
        owner->name = *name;
    atomic_fetch_add(&owner->sequence, 1);
}

bool scsi_keep_get_owner(const struct scsi_keep *keep, struct pr_name *ret_name)
{
    const struct keep_owner *owner = &keep->data->owner;

    if ((atomic_load(&owner->sequence) & 1) || !owner->used)
        return false;
    *ret_name = owner->name;
    ret_name->port[PR_PORT_MAX - 1] = '\0';
    return true;
}
