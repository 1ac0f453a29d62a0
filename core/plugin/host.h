/* SPDX-License-Identifier: BSD-3-Clause */
/* The host table: what a plugin can ask of the daemon, filled from the files of this folder. */
#pragma once

#include <stdarg.h>

#include <holdfast/plugin.h>

#include "plugin/error.h"

/* Fills the table for one plugin. */
void plugin_host_init(struct hf_host *host);

/* error.c */
__attribute__((format(printf, 3, 0))) int plugin_fail_v(struct hf_error *error, int code,
                                                        const char *format, va_list args);

/* queue.c */
void queue_host_complete(struct hf_queue *queue, uint64_t id, int32_t result);
void queue_host_complete_remote(struct hf_queue *queue, uint64_t id, int32_t result);

/* ring_host.c */
void ring_host_read(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                    const struct iovec *iov, uint32_t iov_count, uint64_t offset);
void ring_host_write(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                     const struct iovec *iov, uint32_t iov_count, uint64_t offset, uint32_t flags);
void ring_host_fsync(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, uint32_t flags);
void ring_host_fallocate(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, int32_t mode,
                         uint64_t offset, uint64_t length);
void ring_host_cancel(struct hf_queue *queue, struct hf_ring_op *op);

/* storage.c */
void storage_host_lu_changed(struct hf_lun *lun, const struct hf_lun_info *info);
int32_t storage_host_memfd_get(struct hf_lun *lun, uint64_t bytes, int32_t *ret_fd,
                               uint32_t *ret_existed, struct hf_error *error);
int32_t storage_host_state_put(struct hf_lun *lun, const void *data, uint64_t bytes);
int64_t storage_host_state_get(struct hf_lun *lun, void *data, uint64_t max_bytes);

/* lower.c */
int32_t lower_host_open(struct hf_lun *lun, const struct hf_lower_config *config,
                        struct hf_lun_info *info, struct hf_lower **ret_lower,
                        struct hf_error *error);
void lower_host_submit(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io);
void lower_host_cancel(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io);
int32_t lower_host_space(struct hf_lower *lower, struct hf_space *ret_space);
void timer_host_start(struct hf_queue *queue, struct hf_timer *timer, uint64_t ns);
void timer_host_stop(struct hf_queue *queue, struct hf_timer *timer);

/* authenticator.c */
void auth_host_resume(struct hf_auth *auth);
