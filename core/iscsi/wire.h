/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of iSCSI (RFC 7143 section 11): every PDU's field as an offset into its 48-byte basic
 * header segment, every flag, code and limit as a named number. Nothing here has a behaviour; a
 * header is read and written with base/bytes.h. All multi-byte fields are big-endian.
 */
#pragma once

#include <stdint.h>

#include "base/iscsi_name.h"

#define ISCSI_BHS_BYTES    48
#define ISCSI_PAD(n)       (((n) + 3u) & ~3u) /* data segments and AHS end on a 4-byte boundary */
#define ISCSI_DIGEST_BYTES 4

#define ISCSI_TAG_NONE                      0xffffffffu /* the reserved ITT and TTT */
#define ISCSI_VERSION                       0x00
#define ISCSI_ISID_BYTES                    6
#define ISCSI_CDB_BYTES                     16
#define ISCSI_AHS_WORDS_MAX                 255
#define ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT 8192 /* in force all through login */

/* 11.2.1: fields that all PDUs have in common. */
enum {
    ISCSI_BHS_OPCODE = 0,      /* I bit and opcode */
    ISCSI_BHS_FLAGS = 1,       /* F and opcode-specific bits */
    ISCSI_BHS_AHS_WORDS = 4,   /* TotalAHSLength, 4-byte words */
    ISCSI_BHS_DATA_LENGTH = 5, /* DataSegmentLength, 24 bits, without padding */
    ISCSI_BHS_LUN = 8,
    ISCSI_BHS_ITT = 16,
    ISCSI_BHS_TTT = 20,
    ISCSI_BHS_CMD_SN = 24,      /* from the initiator; reserved in Data-Out and SNACK */
    ISCSI_BHS_EXP_STAT_SN = 28, /* from the initiator */
    ISCSI_BHS_STAT_SN = 24,     /* from the target */
    ISCSI_BHS_EXP_CMD_SN = 28,  /* from the target */
    ISCSI_BHS_MAX_CMD_SN = 32,  /* from the target */
};

#define ISCSI_OPCODE_MASK 0x3f
#define ISCSI_IMMEDIATE   0x40 /* the I bit of byte 0 */
#define ISCSI_FINAL       0x80 /* the F bit of byte 1 */

/* 11.2.1.2: opcodes. */
enum {
    ISCSI_OP_NOP_OUT = 0x00,
    ISCSI_OP_SCSI_COMMAND = 0x01,
    ISCSI_OP_TASK_MANAGEMENT = 0x02,
    ISCSI_OP_LOGIN = 0x03,
    ISCSI_OP_TEXT = 0x04,
    ISCSI_OP_DATA_OUT = 0x05,
    ISCSI_OP_LOGOUT = 0x06,
    ISCSI_OP_SNACK = 0x10,
    ISCSI_OP_NOP_IN = 0x20,
    ISCSI_OP_SCSI_RESPONSE = 0x21,
    ISCSI_OP_TASK_MANAGEMENT_RESPONSE = 0x22,
    ISCSI_OP_LOGIN_RESPONSE = 0x23,
    ISCSI_OP_TEXT_RESPONSE = 0x24,
    ISCSI_OP_DATA_IN = 0x25,
    ISCSI_OP_LOGOUT_RESPONSE = 0x26,
    ISCSI_OP_R2T = 0x31,
    ISCSI_OP_ASYNC = 0x32,
    ISCSI_OP_REJECT = 0x3f,
};

/* 11.2.2: additional header segments: length 16 bits (without these 3 bytes), type, contents. */
enum {
    ISCSI_AHS_LENGTH = 0,
    ISCSI_AHS_TYPE = 2,
    ISCSI_AHS_CONTENTS = 3, /* first byte reserved in both types below */

    ISCSI_AHS_EXTENDED_CDB = 1,
    ISCSI_AHS_BIDI_READ_LENGTH = 2,
    ISCSI_AHS_TYPE_MASK = 0x3f,
};

/* 11.3: SCSI Command. */
enum {
    ISCSI_CMD_EXPECTED_LENGTH = 20, /* Expected Data Transfer Length */
    ISCSI_CMD_CDB = 32,

    ISCSI_CMD_READ = 0x40,
    ISCSI_CMD_WRITE = 0x20,
    ISCSI_CMD_ATTR_MASK = 0x07,
    ISCSI_ATTR_UNTAGGED = 0,
    ISCSI_ATTR_SIMPLE = 1,
    ISCSI_ATTR_ORDERED = 2,
    ISCSI_ATTR_HEAD_OF_QUEUE = 3,
    ISCSI_ATTR_ACA = 4,
};

/* 11.4: SCSI Response. The residual flags O and U are the same in Data-In. */
enum {
    ISCSI_RSP_RESPONSE = 2,
    ISCSI_RSP_STATUS = 3,
    ISCSI_RSP_SNACK_TAG = 20,
    ISCSI_RSP_EXP_DATA_SN = 36,
    ISCSI_RSP_BIDI_RESIDUAL = 40,
    ISCSI_RSP_RESIDUAL = 44,

    ISCSI_BIDI_OVERFLOW = 0x10,
    ISCSI_BIDI_UNDERFLOW = 0x08,
    ISCSI_OVERFLOW = 0x04,
    ISCSI_UNDERFLOW = 0x02,

    ISCSI_RESPONSE_COMPLETED = 0x00,
    ISCSI_RESPONSE_TARGET_FAILURE = 0x01,
};

/* 11.5, 11.6: Task Management Function Request and Response (9 to 12: RFC 7144). */
enum {
    ISCSI_TMF_FUNCTION = 1, /* low 7 bits */
    ISCSI_TMF_REFERENCED_TAG = 20,
    ISCSI_TMF_REF_CMD_SN = 32,
    ISCSI_TMF_EXP_DATA_SN = 36,
    ISCSI_TMF_RESPONSE = 2,
    ISCSI_TMF_INFORMATION = 8, /* three bytes (RFC 7144 6.4.1) */

    ISCSI_TMF_ABORT_TASK = 1,
    ISCSI_TMF_ABORT_TASK_SET = 2,
    ISCSI_TMF_CLEAR_ACA = 3,
    ISCSI_TMF_CLEAR_TASK_SET = 4,
    ISCSI_TMF_LUN_RESET = 5,
    ISCSI_TMF_TARGET_WARM_RESET = 6,
    ISCSI_TMF_TARGET_COLD_RESET = 7,
    ISCSI_TMF_TASK_REASSIGN = 8,
    ISCSI_TMF_QUERY_TASK = 9,
    ISCSI_TMF_QUERY_TASK_SET = 10,
    ISCSI_TMF_I_T_NEXUS_RESET = 11,
    ISCSI_TMF_QUERY_ASYNC_EVENT = 12,

    ISCSI_TMF_RSP_COMPLETE = 0,
    ISCSI_TMF_RSP_NO_TASK = 1,
    ISCSI_TMF_RSP_NO_LUN = 2,
    ISCSI_TMF_RSP_STILL_ALLEGIANT = 3,
    ISCSI_TMF_RSP_NO_REASSIGN = 4,
    ISCSI_TMF_RSP_NOT_SUPPORTED = 5,
    ISCSI_TMF_RSP_NOT_AUTHORIZED = 6,
    ISCSI_TMF_RSP_SUCCEEDED = 7, /* RFC 7144 */
    ISCSI_TMF_RSP_REJECTED = 255,
};

/* 11.7: SCSI Data-Out and Data-In. */
enum {
    ISCSI_DATA_STATUS = 3, /* Data-In with S only */
    ISCSI_DATA_DATA_SN = 36,
    ISCSI_DATA_OFFSET = 40,
    ISCSI_DATA_RESIDUAL = 44, /* Data-In with S only */

    ISCSI_DATA_ACKNOWLEDGE = 0x40, /* the A bit, error recovery level above 0 */
    ISCSI_DATA_WITH_STATUS = 0x01, /* the S bit */
};

/* 11.8: Ready To Transfer. */
enum {
    ISCSI_R2T_R2T_SN = 36,
    ISCSI_R2T_OFFSET = 40,
    ISCSI_R2T_LENGTH = 44,
};

/* 11.9: Asynchronous Message. */
enum {
    ISCSI_ASYNC_EVENT = 36,
    ISCSI_ASYNC_VCODE = 37,
    ISCSI_ASYNC_PARAMETER1 = 38,
    ISCSI_ASYNC_PARAMETER2 = 40,
    ISCSI_ASYNC_PARAMETER3 = 42,

    ISCSI_ASYNC_SCSI = 0,             /* sense data in the data segment */
    ISCSI_ASYNC_LOGOUT_REQUEST = 1,   /* parameter 3: seconds */
    ISCSI_ASYNC_DROP_CONNECTION = 2,  /* parameter 1: CID, 2: Time2Wait, 3: Time2Retain */
    ISCSI_ASYNC_DROP_SESSION = 3,     /* parameter 2: Time2Wait, 3: Time2Retain */
    ISCSI_ASYNC_NEGOTIATE = 4,        /* parameter 3: seconds */
    ISCSI_ASYNC_TASKS_TERMINATED = 5, /* FastAbort only */
    ISCSI_ASYNC_VENDOR = 255,
};

/* 11.10, 11.11: Text Request and Response; the C bit is the same in Login. */
#define ISCSI_TEXT_CONTINUE 0x40

/* 11.12, 11.13: Login Request and Response. */
enum {
    ISCSI_LOGIN_VERSION_MAX = 2,
    ISCSI_LOGIN_VERSION_MIN = 3,    /* request */
    ISCSI_LOGIN_VERSION_ACTIVE = 3, /* response */
    ISCSI_LOGIN_ISID = 8,
    ISCSI_LOGIN_TSIH = 14,
    ISCSI_LOGIN_CID = 20,
    ISCSI_LOGIN_STATUS_CLASS = 36,
    ISCSI_LOGIN_STATUS_DETAIL = 37,

    ISCSI_LOGIN_TRANSIT = 0x80,
    ISCSI_LOGIN_CONTINUE = 0x40,
    ISCSI_LOGIN_CSG_SHIFT = 2,
    ISCSI_LOGIN_STAGE_MASK = 3, /* of CSG after the shift, and of NSG */

    ISCSI_STAGE_SECURITY = 0,
    ISCSI_STAGE_OPERATIONAL = 1,
    ISCSI_STAGE_FULL_FEATURE = 3,

    ISCSI_ISID_TYPE_MASK = 0xc0, /* of the first byte of the ISID, 11.12.5 */
    ISCSI_ISID_OUI = 0x00,
    ISCSI_ISID_EN = 0x40,
    ISCSI_ISID_RANDOM = 0x80,
    ISCSI_ISID_RESERVED = 0xc0,
};

/* 11.13.5: login status, class << 8 | detail. */
enum {
    ISCSI_LOGIN_OK = 0x0000,
    ISCSI_LOGIN_MOVED_TEMPORARILY = 0x0101,
    ISCSI_LOGIN_MOVED_PERMANENTLY = 0x0102,
    ISCSI_LOGIN_INITIATOR_ERROR = 0x0200,
    ISCSI_LOGIN_AUTHENTICATION_FAILED = 0x0201,
    ISCSI_LOGIN_NOT_AUTHORIZED = 0x0202,
    ISCSI_LOGIN_TARGET_NOT_FOUND = 0x0203,
    ISCSI_LOGIN_TARGET_REMOVED = 0x0204,
    ISCSI_LOGIN_UNSUPPORTED_VERSION = 0x0205,
    ISCSI_LOGIN_TOO_MANY_CONNECTIONS = 0x0206,
    ISCSI_LOGIN_MISSING_PARAMETER = 0x0207,
    ISCSI_LOGIN_NOT_IN_SESSION = 0x0208, /* this portal cannot include it in the session */
    ISCSI_LOGIN_SESSION_TYPE = 0x0209,
    ISCSI_LOGIN_NO_SESSION = 0x020a,
    ISCSI_LOGIN_INVALID_DURING_LOGIN = 0x020b,
    ISCSI_LOGIN_TARGET_ERROR = 0x0300,
    ISCSI_LOGIN_UNAVAILABLE = 0x0301,
    ISCSI_LOGIN_OUT_OF_RESOURCES = 0x0302,
};

/* 11.14, 11.15: Logout Request and Response. */
enum {
    ISCSI_LOGOUT_REASON = 1, /* low 7 bits */
    ISCSI_LOGOUT_CID = 20,
    ISCSI_LOGOUT_RESPONSE = 2,
    ISCSI_LOGOUT_TIME2WAIT = 40,
    ISCSI_LOGOUT_TIME2RETAIN = 42,

    ISCSI_LOGOUT_CLOSE_SESSION = 0,
    ISCSI_LOGOUT_CLOSE_CONNECTION = 1,
    ISCSI_LOGOUT_REMOVE_FOR_RECOVERY = 2,

    ISCSI_LOGOUT_OK = 0,
    ISCSI_LOGOUT_CID_NOT_FOUND = 1,
    ISCSI_LOGOUT_RECOVERY_NOT_SUPPORTED = 2,
    ISCSI_LOGOUT_CLEANUP_FAILED = 3,
};

/* 11.16: SNACK. */
enum {
    ISCSI_SNACK_TYPE = 1, /* low 4 bits */
    ISCSI_SNACK_TAG = 20,
    ISCSI_SNACK_BEGIN = 40,
    ISCSI_SNACK_LENGTH = 44,

    ISCSI_SNACK_DATA_R2T = 0,
    ISCSI_SNACK_STATUS = 1,
    ISCSI_SNACK_DATA_ACK = 2,
    ISCSI_SNACK_RDATA = 3,
};

/* 11.17: Reject; the data segment carries the header that was rejected. */
enum {
    ISCSI_REJECT_REASON = 2,
    ISCSI_REJECT_DATA_SN = 36,

    ISCSI_REJECT_DATA_DIGEST = 0x02,
    ISCSI_REJECT_SNACK = 0x03,
    ISCSI_REJECT_PROTOCOL = 0x04,
    ISCSI_REJECT_NOT_SUPPORTED = 0x05,
    ISCSI_REJECT_IMMEDIATE = 0x06, /* too many immediate commands */
    ISCSI_REJECT_IN_PROGRESS = 0x07,
    ISCSI_REJECT_DATA_ACK = 0x08,
    ISCSI_REJECT_INVALID_FIELD = 0x09,
    ISCSI_REJECT_LONG_OPERATION = 0x0a,
    ISCSI_REJECT_WAITING_FOR_LOGOUT = 0x0c,
};

/* 13: limits of what may be negotiated. */
#define ISCSI_SEGMENT_MIN     512
#define ISCSI_SEGMENT_MAX     0xffffffu
#define ISCSI_CONNECTIONS_MAX 65535
#define ISCSI_R2T_MAX         65535
#define ISCSI_TIME_MAX        3600
