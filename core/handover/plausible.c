/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover/plausible.h"

#include "iscsi/engine.h"

static bool is_length(uint32_t bytes)
{
    return bytes >= ISCSI_SEGMENT_MIN && bytes <= ISCSI_SEGMENT_MAX;
}

bool plausible_params(const struct iscsi_params *p)
{
    return is_length(p->initiator_max_recv) && is_length(p->target_max_recv) &&
           p->header_digest <= ISCSI_DIGEST_CRC32C && p->data_digest <= ISCSI_DIGEST_CRC32C &&
           p->initial_r2t <= 1 && p->immediate_data <= 1 && p->data_pdu_in_order == 1 &&
           p->data_sequence_in_order == 1 && p->error_recovery_level == 0 &&
           p->task_reporting <= ISCSI_REPORTING_FAST_ABORT && is_length(p->max_burst_length) &&
           is_length(p->first_burst_length) && p->first_burst_length <= p->max_burst_length &&
           p->max_outstanding_r2t && p->max_connections &&
           p->max_connections <= STATE_CONNECTIONS_PER_SESSION;
}

static bool plausible_transfer(const struct task_record *r, const struct state_transfer *x,
                               const struct iscsi_params *p)
{
    bool placed = x->received <= r->expected_bytes && x->r2t_offset <= r->expected_bytes &&
                  x->sequence_end <= r->expected_bytes && x->sent <= r->expected_bytes;
    return x->r2t_sent - x->r2t_done <= p->max_outstanding_r2t && x->unsolicited <= 1 &&
           x->segment_open <= 1 && x->fault <= 1 && (placed || x->fault) &&
           (x->r2t_sent == x->r2t_done || x->received <= x->sequence_end);
}

bool plausible_task(const struct task_record *r, const struct state_transfer *x,
                    const struct iscsi_params *p)
{
    if (r->kind > TASK_NUMBER || r->buffers > STATE_TASK_BUFFERS)
        return false;
    if (r->kind == TASK_SCSI)
        return r->cdb_bytes >= ISCSI_CDB_BYTES && r->cdb_bytes <= SCSI_CDB_MAX &&
               (!x || plausible_transfer(r, x, p));
    return !r->answer_bytes || arena_is_mapped(r->answer_data, r->answer_bytes);
}
