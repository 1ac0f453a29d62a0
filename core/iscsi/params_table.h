/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of the negotiation table, private to params*.c and its test. */
#pragma once

#include <stddef.h>

#include "iscsi/params.h"

/* The result functions of RFC 7143 6.2 and section 13. */
enum param_function {
    PARAM_NONE,        /* not negotiated by params_receive() */
    PARAM_MIN,         /* number, the smaller wins */
    PARAM_MAX,         /* number, the larger wins */
    PARAM_AND,         /* Yes only if both say so */
    PARAM_OR,          /* Yes if one says so */
    PARAM_LIST,        /* first of the offered that we allow */
    PARAM_DECLARE,     /* number, each side's own */
    PARAM_SILENT,      /* known, without effect and without answer */
    PARAM_REJECT,      /* known, always answered Reject */
    PARAM_TARGETS_OWN, /* only a target may send it */
};

enum {
    PARAM_LEADING = 1 << 0,  /* LO: leading connection only */
    PARAM_SESSION = 1 << 1,  /* irrelevant in a discovery session */
    PARAM_ALWAYS = 1 << 2,   /* also in full feature phase */
    PARAM_MUST_FIT = 1 << 3, /* its default may break our limits: propose it ourselves then */
    PARAM_LAST = 1 << 4,     /* depends on others of the same text: handled after them */
};

#define PARAM_FIXED 0xffff /* limit_offset: `fixed` is our value */

struct param_row {
    const char *name;
    uint8_t kind;     /* enum params_kind */
    uint8_t function; /* enum param_function */
    uint8_t flags;
    uint8_t bytes;          /* of the result */
    uint16_t result_offset; /* in struct iscsi_params */
    uint16_t limit_offset;  /* in struct iscsi_limits, or PARAM_FIXED */
    uint8_t limit_bytes;
    uint8_t fixed;
    uint32_t min, max;        /* legal numbers */
    const char *const *words; /* PARAM_LIST: value by number, ended by NULL; our limit is a mask */
};

extern const struct param_row param_rows[];
extern const unsigned param_row_count; /* at most 64 */

const struct param_row *param_find(const char *name);
uint32_t param_limit(const struct params *p, const struct param_row *row);
uint32_t param_result(const struct params *p, const struct param_row *row);
void param_set_result(struct params *p, const struct param_row *row, uint32_t value);
