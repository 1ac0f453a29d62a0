/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameter list of EXTENDED COPY (LID1) (SPC-4 6.4.3): header, CSCD and segment descriptors. */
#include "scsi/copy.h"

#include "base/bytes.h"
#include "scsi/sense.h"
#include "scsi/step.h"

#define TYPE_IDENTIFICATION 0xe4u
#define TYPE_BLOCKS         0x02u
#define TYPE_BLOCKS_OFFSET  0x0au

static bool refuse(struct scsi_command *cmd, uint16_t asc)
{
    scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, asc);
    return false;
}

static bool check_cscds(struct scsi_command *cmd, uint32_t bytes, struct copy_list *list)
{
    uint8_t type;

    list->cscds = bytes / COPY_CSCD;
    if (list->cscds > COPY_CSCDS_MAX)
        return refuse(cmd, ASC_TOO_MANY_CSCDS);
    for (unsigned i = 0; i < list->cscds; i++) {
        scsi_iov_get(cmd, COPY_HEADER + i * COPY_CSCD, &type, 1);
        if (type != TYPE_IDENTIFICATION)
            return refuse(cmd, ASC_CSCD_TYPE);
    }
    return true;
}

/* Bytes of a segment descriptor, by its type; 0: a type that is not supported. */
static uint32_t segment_bytes(uint8_t type)
{
    return type == TYPE_BLOCKS ? 28 : type == TYPE_BLOCKS_OFFSET ? 32 : 0;
}

static bool check_segments(struct scsi_command *cmd, uint32_t bytes, struct copy_list *list)
{
    for (uint32_t at = 0; at < bytes;) {
        uint8_t head[4] = { 0 };
        scsi_iov_get(cmd, list->segments_at + at, head, bytes - at < 4 ? bytes - at : 4);
        uint32_t length = segment_bytes(head[0]);
        if (++list->segments > COPY_SEGMENTS_MAX)
            return refuse(cmd, ASC_TOO_MANY_SEGMENTS);
        if (length == 0)
            return refuse(cmd, ASC_SEGMENT_TYPE);
        if (length > bytes - at)
            return refuse(cmd, ASC_PARAMETER_LIST_LENGTH);
        if (get_be16(head + 2) != length - 4) {
            scsi_bad_list(cmd, (uint16_t)(list->segments_at + at + 2), -1);
            return false;
        }
        at += length;
    }
    return true;
}

bool copy_list_read(struct scsi_command *cmd, struct copy_list *ret_list)
{
    uint8_t header[COPY_HEADER];

    scsi_iov_get(cmd, 0, header, sizeof(header));
    uint32_t cscds = get_be16(header + 2), segments = get_be32(header + 8);
    *ret_list = (struct copy_list){ .id = header[0],
                                    .forgotten = (header[1] >> 3 & 3) == 3,
                                    .segments_at = COPY_HEADER + cscds };
    if (get_be32(header + 12))
        return refuse(cmd, ASC_INLINE_DATA);
    if ((uint64_t)cscds + segments > COPY_DESCRIPTORS_MAX ||
        cscds + segments > cmd->data_out_bytes - COPY_HEADER || cscds % COPY_CSCD)
        return refuse(cmd, ASC_PARAMETER_LIST_LENGTH);
    return check_cscds(cmd, cscds, ret_list) && check_segments(cmd, segments, ret_list);
}

void copy_list_segment(const struct scsi_command *cmd, const struct copy_list *list, unsigned index,
                       struct copy_segment *ret_segment)
{
    uint32_t at = list->segments_at;
    uint8_t d[32] = { 0 };

    for (unsigned i = 0;; i++) {
        scsi_iov_get(cmd, at, d, 1);
        if (i == index)
            break;
        at += segment_bytes(d[0]);
    }
    scsi_iov_get(cmd, at, d, segment_bytes(d[0]));
    bool in_bytes = d[0] == TYPE_BLOCKS_OFFSET;
    *ret_segment = (struct copy_segment){
        .source = get_be16(d + 4),
        .destination = get_be16(d + 6),
        .in_bytes = in_bytes,
        .of_destination = !in_bytes && (d[1] & 0x02), /* DC */
        .count = in_bytes ? get_be32(d + 8) : get_be16(d + 10),
        .source_lba = get_be64(d + 12),
        .destination_lba = get_be64(d + 20),
        .source_offset = in_bytes ? get_be16(d + 28) : 0,
        .destination_offset = in_bytes ? get_be16(d + 30) : 0,
    };
}
