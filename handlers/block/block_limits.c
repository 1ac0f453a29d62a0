/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sizes come from the device's ioctls; discard from sysfs, where a partition's queue is that of the
 * disk around it. What sysfs does not say is taken as absent.
 */
#include "block_limits.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static uint64_t read_number(const char *path)
{
    unsigned long long value = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &value) != 1)
        value = 0;
    fclose(f);
    return value;
}

static uint64_t queue_attribute(dev_t device, const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(device), minor(device));
    const char *up = stat(path, &st) == 0 ? "../" : "";
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(device), minor(device),
             up, name);
    return read_number(path);
}

static void read_queue(dev_t device, struct block_limits *limits)
{
    limits->can_discard = queue_attribute(device, "discard_max_bytes") > 0 &&
                          queue_attribute(device, "write_zeroes_max_bytes") > 0;
    limits->discard_granularity = (uint32_t)queue_attribute(device, "discard_granularity");
    limits->optimal_bytes = (uint32_t)queue_attribute(device, "optimal_io_size");
    limits->rotational = queue_attribute(device, "rotational") != 0;
}

int block_read_limits(int fd, struct block_limits *limits)
{
    struct stat st;
    uint64_t bytes;
    int logical;
    unsigned physical;
    if (fstat(fd, &st) < 0)
        return errno;
    if (!S_ISBLK(st.st_mode))
        return ENOTBLK;
    if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || ioctl(fd, BLKSSZGET, &logical) < 0 ||
        ioctl(fd, BLKPBSZGET, &physical) < 0)
        return errno;
    *limits = (struct block_limits){
        .bytes = bytes,
        .logical_bytes = (uint32_t)logical,
        .physical_bytes = physical,
    };
    read_queue(st.st_rdev, limits);
    return 0;
}
