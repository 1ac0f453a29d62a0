/* SPDX-License-Identifier: BSD-3-Clause */
/* Handler "file": between its files. */
#pragma once

#include "fd_queue.h"

extern const struct hf_host *file_host;

struct file_config {
    const char *path;
    uint64_t bytes; /* 0: as large as the file is */
    uint32_t direct;
    uint32_t grow;
};

struct file_lun {
    struct fd_lun fd; /* first */
    struct hf_lun *lun;
    struct hf_lun_info info;
};

/* Opens, creates or grows the file, locks it, and fills lun->fd and lun->info. */
int32_t file_open(struct file_lun *lun, const struct file_config *config, const struct hf_open *how,
                  struct hf_error *error);
/* The file becomes `bytes` long; for open and update. */
int32_t file_grow(int fd, const struct file_config *config, uint64_t now_bytes,
                  struct hf_error *error);
