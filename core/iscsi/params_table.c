/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every key of RFC 7143 (section 13, 12 for the security keys), a row each. What is not here is
 * answered NotUnderstood; what is here never may be.
 */
#include "iscsi/params_table.h"

#include <assert.h>
#include <string.h>

#include "iscsi/wire.h"

static const char *const digest_words[] = { "None", "CRC32C", NULL };
static const char *const reporting_words[] = { "RFC3720", "ResponseFence", "FastAbort", NULL };

#define SIZE_OF(type, member) sizeof(((type *)0)->member)
#define RESULT(member)                                                                             \
    .result_offset = offsetof(struct iscsi_params, member),                                        \
    .bytes = SIZE_OF(struct iscsi_params, member)
#define LIMIT(member)                                                                              \
    .limit_offset = offsetof(struct iscsi_limits, member),                                         \
    .limit_bytes = SIZE_OF(struct iscsi_limits, member)
#define FIXED(value)     .limit_offset = PARAM_FIXED, .fixed = (value)
#define RANGE(low, high) .min = (low), .max = (high)

#define OPERATIONAL(key, how, when, ...)                                                           \
    {                                                                                              \
        .name = key, .kind = PARAMS_OPERATIONAL, .function = how, .flags = when, __VA_ARGS__       \
    }
#define IDENTITY(key, how)                                                                         \
    {                                                                                              \
        .name = key, .kind = PARAMS_IDENTITY, .function = how                                      \
    }
#define SECURITY(key)                                                                              \
    {                                                                                              \
        .name = key, .kind = PARAMS_SECURITY                                                       \
    }

#define LO      PARAM_LEADING
#define SESSION (PARAM_LEADING | PARAM_SESSION)

const struct param_row param_rows[] = {
    OPERATIONAL("HeaderDigest", PARAM_LIST, PARAM_MUST_FIT, RESULT(header_digest),
                LIMIT(header_digests), .words = digest_words),
    OPERATIONAL("DataDigest", PARAM_LIST, PARAM_MUST_FIT, RESULT(data_digest), LIMIT(data_digests),
                .words = digest_words),
    OPERATIONAL("MaxConnections", PARAM_MIN, SESSION, RESULT(max_connections),
                LIMIT(max_connections), RANGE(1, ISCSI_CONNECTIONS_MAX)),
    OPERATIONAL("InitialR2T", PARAM_OR, SESSION, RESULT(initial_r2t), LIMIT(initial_r2t)),
    OPERATIONAL("ImmediateData", PARAM_AND, SESSION | PARAM_MUST_FIT, RESULT(immediate_data),
                LIMIT(immediate_data)),
    OPERATIONAL("MaxRecvDataSegmentLength", PARAM_DECLARE, PARAM_ALWAYS, RESULT(initiator_max_recv),
                LIMIT(max_recv_data_segment_length), RANGE(ISCSI_SEGMENT_MIN, ISCSI_SEGMENT_MAX)),
    OPERATIONAL("MaxBurstLength", PARAM_MIN, SESSION | PARAM_MUST_FIT, RESULT(max_burst_length),
                LIMIT(max_burst_length), RANGE(ISCSI_SEGMENT_MIN, ISCSI_SEGMENT_MAX)),
    OPERATIONAL("FirstBurstLength", PARAM_MIN, SESSION | PARAM_MUST_FIT | PARAM_LAST,
                RESULT(first_burst_length), LIMIT(first_burst_length),
                RANGE(ISCSI_SEGMENT_MIN, ISCSI_SEGMENT_MAX)),
    OPERATIONAL("DefaultTime2Wait", PARAM_MAX, LO, RESULT(time2wait), LIMIT(time2wait),
                RANGE(0, ISCSI_TIME_MAX)),
    OPERATIONAL("DefaultTime2Retain", PARAM_MIN, LO, RESULT(time2retain), LIMIT(time2retain),
                RANGE(0, ISCSI_TIME_MAX)),
    OPERATIONAL("MaxOutstandingR2T", PARAM_MIN, SESSION, RESULT(max_outstanding_r2t),
                LIMIT(max_outstanding_r2t), RANGE(1, ISCSI_R2T_MAX)),
    OPERATIONAL("DataPDUInOrder", PARAM_OR, SESSION, RESULT(data_pdu_in_order), FIXED(1)),
    OPERATIONAL("DataSequenceInOrder", PARAM_OR, SESSION, RESULT(data_sequence_in_order), FIXED(1)),
    OPERATIONAL("ErrorRecoveryLevel", PARAM_MIN, LO, RESULT(error_recovery_level), FIXED(0),
                RANGE(0, 2)),
    OPERATIONAL("TaskReporting", PARAM_LIST, SESSION, RESULT(task_reporting), LIMIT(task_reporting),
                .words = reporting_words),
    OPERATIONAL("iSCSIProtocolLevel", PARAM_MIN, SESSION, RESULT(protocol_level),
                LIMIT(protocol_level), RANGE(0, 31)),
    OPERATIONAL("X#NodeArchitecture", PARAM_SILENT, 0),
    /* In full feature phase discovery.c answers it before this table is asked. */
    OPERATIONAL("SendTargets", PARAM_REJECT, 0),
    /* 13.25: obsolete, but "MUST NOT answer NotUnderstood". */
    OPERATIONAL("IFMarker", PARAM_REJECT, 0),
    OPERATIONAL("OFMarker", PARAM_REJECT, 0),
    OPERATIONAL("IFMarkInt", PARAM_REJECT, 0),
    OPERATIONAL("OFMarkInt", PARAM_REJECT, 0),

    IDENTITY("InitiatorName", PARAM_NONE),
    IDENTITY("InitiatorAlias", PARAM_NONE),
    IDENTITY("TargetName", PARAM_NONE),
    IDENTITY("SessionType", PARAM_NONE),
    IDENTITY("TargetAlias", PARAM_TARGETS_OWN),
    IDENTITY("TargetAddress", PARAM_TARGETS_OWN),
    IDENTITY("TargetPortalGroupTag", PARAM_TARGETS_OWN),

    SECURITY("AuthMethod"),
    SECURITY("CHAP_A"),
    SECURITY("CHAP_I"),
    SECURITY("CHAP_C"),
    SECURITY("CHAP_N"),
    SECURITY("CHAP_R"),
    SECURITY("KRB_AP_REQ"),
    SECURITY("KRB_AP_REP"),
    SECURITY("SRP_GROUP"),
    SECURITY("SRP_U"),
    SECURITY("SRP_s"),
    SECURITY("SRP_A"),
    SECURITY("SRP_B"),
    SECURITY("SRP_M"),
    SECURITY("SRP_HM"),
};

const unsigned param_row_count = sizeof(param_rows) / sizeof(param_rows[0]);
_Static_assert(sizeof(param_rows) / sizeof(param_rows[0]) <= 64, "a row is a bit in a uint64_t");

const struct param_row *param_find(const char *name)
{
    for (unsigned i = 0; i < param_row_count; i++)
        if (strcmp(param_rows[i].name, name) == 0)
            return &param_rows[i];
    return NULL;
}

static uint32_t load(const void *at, unsigned bytes)
{
    uint32_t wide;
    uint16_t half;
    switch (bytes) {
    case 4:
        memcpy(&wide, at, sizeof(wide));
        return wide;
    case 2:
        memcpy(&half, at, sizeof(half));
        return half;
    default:
        return *(const uint8_t *)at;
    }
}

uint32_t param_limit(const struct params *p, const struct param_row *row)
{
    if (row->limit_offset == PARAM_FIXED)
        return row->fixed;
    return load((const uint8_t *)&p->limits + row->limit_offset, row->limit_bytes);
}

uint32_t param_result(const struct params *p, const struct param_row *row)
{
    return load((const uint8_t *)&p->result + row->result_offset, row->bytes);
}

void param_set_result(struct params *p, const struct param_row *row, uint32_t value)
{
    uint8_t *at = (uint8_t *)&p->result + row->result_offset;
    uint16_t half = (uint16_t)value;
    switch (row->bytes) {
    case 4:
        memcpy(at, &value, sizeof(value));
        break;
    case 2:
        memcpy(at, &half, sizeof(half));
        break;
    default:
        *at = (uint8_t)value;
    }
}
