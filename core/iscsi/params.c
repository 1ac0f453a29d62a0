/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Negotiation of operational parameters: see params.h; the keys are rows of params_table.c.
 *
 * A value that is not legal is answered Reject, which leaves the key at its default (RFC 7143 6.2);
 * whether we can live with that default is params_check()'s question. A breach of the protocol
 * (a key twice, a reserved word as a proposal, an answer that does not fit the question) is -EPROTO.
 */
#include "iscsi/params.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>

#include "iscsi/params_table.h"
#include "iscsi/wire.h"

const struct iscsi_limits iscsi_limits_default = {
    .max_recv_data_segment_length = 262144,
    .max_burst_length = 1048576,
    .first_burst_length = 262144,
    .max_outstanding_r2t = 16,
    .max_connections = 1,
    .time2wait = 2,
    .time2retain = 20,
    .initial_r2t = false,
    .immediate_data = true,
    .header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_NONE) | ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C),
    .data_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_NONE) | ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C),
    .task_reporting = 1u << ISCSI_REPORTING_RFC3720 | 1u << ISCSI_REPORTING_RESPONSE_FENCE |
                      1u << ISCSI_REPORTING_FAST_ABORT,
    .protocol_level = 2,
};

const struct iscsi_params iscsi_params_default = {
    .initiator_max_recv = ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT,
    .target_max_recv = ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT,
    .header_digest = ISCSI_DIGEST_NONE,
    .data_digest = ISCSI_DIGEST_NONE,
    .initial_r2t = 1,
    .immediate_data = 1,
    .data_pdu_in_order = 1,
    .data_sequence_in_order = 1,
    .error_recovery_level = 0,
    .protocol_level = 1,
    .task_reporting = ISCSI_REPORTING_RFC3720,
    .max_burst_length = 262144,
    .first_burst_length = 65536,
    .max_outstanding_r2t = 1,
    .max_connections = 1,
    .time2wait = 2,
    .time2retain = 20,
};

/* What became of one key. */
enum outcome { OUTCOME_NUMBER, OUTCOME_REJECT, OUTCOME_ERROR };

static uint64_t row_bit(const struct param_row *row)
{
    return 1ull << (row - param_rows);
}

void params_init(struct params *p)
{
    memset(p, 0, sizeof(*p));
    p->result = iscsi_params_default;
    p->limits = iscsi_limits_default;
    p->leading = true;
}

void params_configure(struct params *p, const struct iscsi_limits *limits, bool discovery,
                      bool leading)
{
    p->limits = *limits;
    p->discovery = discovery;
    p->leading = leading;
}

void params_init_text(struct params *p, const struct iscsi_params *in_force)
{
    params_init(p);
    p->result = *in_force;
    p->full_feature = true;
}

enum params_kind params_kind(const char *key)
{
    const struct param_row *row = param_find(key);
    return row ? (enum params_kind)row->kind : PARAMS_UNKNOWN;
}

bool params_is_targets_own(const char *key)
{
    const struct param_row *row = param_find(key);
    return row && row->function == PARAM_TARGETS_OWN;
}

static int note(struct params *p, const struct param_row *row)
{
    if (p->seen & row_bit(row))
        return -EPROTO;
    p->seen |= row_bit(row);
    return 0;
}

int params_note(struct params *p, const char *key)
{
    const struct param_row *row = param_find(key);
    return row ? note(p, row) : 0;
}

void params_new_stage(struct params *p)
{
    for (unsigned i = 0; i < param_row_count; i++)
        if (param_rows[i].kind == PARAMS_IDENTITY)
            p->seen &= ~row_bit(&param_rows[i]);
}

static bool is_reserved_word(const char *value)
{
    return strcmp(value, "Reject") == 0 || strcmp(value, "Irrelevant") == 0 ||
           strcmp(value, "NotUnderstood") == 0;
}

/* ---- result functions: the initiator's value and ours become the result ---- */

static enum outcome choose_from_list(const struct param_row *row, const char *value, uint32_t mask,
                                     uint32_t *ret_number)
{
    const char *cursor = value, *item;
    uint32_t bytes;
    while (keys_list_next(&cursor, &item, &bytes)) {
        for (uint32_t i = 0; row->words[i]; i++) {
            if ((mask & (1u << i)) && keys_item_is(item, bytes, row->words[i])) {
                *ret_number = i;
                return OUTCOME_NUMBER;
            }
        }
    }
    return OUTCOME_REJECT;
}

static enum outcome choose_bool(const struct param_row *row, const char *value, uint32_t ours,
                                uint32_t *ret_number)
{
    bool theirs;
    if (keys_bool(value, &theirs) < 0)
        return OUTCOME_REJECT;
    *ret_number = row->function == PARAM_AND ? (theirs && ours) : (theirs || ours);
    return OUTCOME_NUMBER;
}

static enum outcome choose_number(const struct param_row *row, const char *value, uint32_t ours,
                                  uint32_t *ret_number)
{
    uint32_t theirs;
    if (keys_number(value, &theirs) < 0 || theirs < row->min || theirs > row->max)
        return OUTCOME_REJECT;
    bool take_theirs = row->function == PARAM_DECLARE ||
                       (row->function == PARAM_MAX ? theirs > ours : theirs < ours);
    *ret_number = take_theirs ? theirs : ours;
    return OUTCOME_NUMBER;
}

/* Our side's value: the limit, and for FirstBurstLength never above the burst as agreed so far. */
static uint32_t our_value(const struct params *p, const struct param_row *row)
{
    uint32_t ours = param_limit(p, row);
    if (row->flags & PARAM_LAST) {
        ours = MIN(ours, p->limits.max_burst_length);
        ours = MIN(ours, p->result.max_burst_length);
    }
    if (row->words == NULL || ours)
        return ours;
    return 1; /* an empty mask allows the first word */
}

static enum outcome choose(const struct params *p, const struct param_row *row, const char *value,
                           uint32_t *ret_number)
{
    uint32_t ours = our_value(p, row);
    switch (row->function) {
    case PARAM_LIST:
        return choose_from_list(row, value, ours, ret_number);
    case PARAM_AND:
    case PARAM_OR:
        return choose_bool(row, value, ours, ret_number);
    case PARAM_MIN:
    case PARAM_MAX:
    case PARAM_DECLARE:
        return choose_number(row, value, ours, ret_number);
    default:
        return OUTCOME_REJECT;
    }
}

static void put_value(struct keys_writer *out, const struct param_row *row, uint32_t number)
{
    if (row->function == PARAM_LIST)
        keys_put(out, row->name, row->words[number]);
    else if (row->function == PARAM_AND || row->function == PARAM_OR)
        keys_put_bool(out, row->name, number != 0);
    else
        keys_put_number(out, row->name, number);
}

/* ---- receiving ---- */

/* True, with the word, when the key has no negotiation in this place. */
static bool fixed_answer(const struct params *p, const struct param_row *row, const char **ret_word)
{
    *ret_word = "Reject";
    if (p->full_feature)
        return !(row->flags & PARAM_ALWAYS);
    if (row->function == PARAM_REJECT)
        return true;
    if (p->discovery && (row->flags & PARAM_SESSION)) {
        *ret_word = "Irrelevant";
        return true;
    }
    /* The session has its values; RFC 7143 13: leading-only keys change nothing here. */
    if (!p->leading && (row->flags & PARAM_LEADING))
        return true;
    if ((row->flags & PARAM_LAST) && p->result.initial_r2t && !p->result.immediate_data) {
        *ret_word = "Irrelevant"; /* 13.14: FirstBurstLength without unsolicited data */
        return true;
    }
    return false;
}

/* The initiator's answer to what we proposed: it must be one that our own rule would give. */
static int take_answer(struct params *p, const struct param_row *row, const char *value)
{
    p->offered &= ~row_bit(row);
    if (is_reserved_word(value))
        return 0; /* stays at its default, and params_check() looks at that */
    uint32_t number, again;
    if (choose(p, row, value, &number) != OUTCOME_NUMBER)
        return -EPROTO;
    if (row->function == PARAM_LIST) {
        if (strcmp(value, row->words[number]) != 0)
            return -EPROTO;
    } else if (row->function == PARAM_AND || row->function == PARAM_OR) {
        if (number != (uint32_t)(strcmp(value, "Yes") == 0))
            return -EPROTO;
    } else if (keys_number(value, &again) < 0 || again != number) {
        return -EPROTO;
    }
    param_set_result(p, row, number);
    return 0;
}

static int take_proposal(struct params *p, const struct param_row *row, const char *value,
                         struct keys_writer *out)
{
    const char *word;
    if (is_reserved_word(value))
        return -EPROTO;
    if (row->function == PARAM_SILENT)
        return 0;
    if (fixed_answer(p, row, &word)) {
        keys_put(out, row->name, word);
        return 0;
    }
    uint32_t number;
    if (choose(p, row, value, &number) != OUTCOME_NUMBER) {
        /* A declaration is no question: the initiator would go on with what we do not know. */
        if (row->function == PARAM_DECLARE && !p->full_feature)
            return -EPROTO;
        keys_put(out, row->name, "Reject");
        return 0;
    }
    param_set_result(p, row, number);
    if (row->function != PARAM_DECLARE)
        put_value(out, row, number);
    return 0;
}

static int receive_known(struct params *p, const struct param_row *row,
                         const struct keys_pair *pair, struct keys_writer *out)
{
    if (note(p, row) < 0 || pair->value_bytes > KEYS_VALUE_MAX)
        return -EPROTO;
    if (p->offered & row_bit(row))
        return take_answer(p, row, pair->value);
    return take_proposal(p, row, pair->value, out);
}

/* Names and security keys outside of a login: nothing changes. */
static int receive_foreign(struct params *p, const struct param_row *row, struct keys_writer *out)
{
    if (!p->full_feature)
        return 0;
    if (note(p, row) < 0)
        return -EPROTO;
    if (strcmp(row->name, "InitiatorAlias") != 0)
        keys_put(out, row->name, "Reject");
    return 0;
}

void params_answer_unknown(const struct keys_pair *pair, struct keys_writer *out)
{
    /* Never an answer to an answer. */
    if (!is_reserved_word(pair->value))
        keys_put(out, pair->name, "NotUnderstood");
}

static int receive_pair(struct params *p, const struct keys_pair *pair, bool last_rows,
                        struct keys_writer *out)
{
    const struct param_row *row = param_find(pair->name);
    bool is_last = row && (row->flags & PARAM_LAST);
    if (is_last != last_rows)
        return 0;
    if (row && row->kind == PARAMS_OPERATIONAL)
        return receive_known(p, row, pair, out);
    if (row)
        return receive_foreign(p, row, out);
    params_answer_unknown(pair, out);
    return 0;
}

int params_receive(struct params *p, const struct keys *keys, struct keys_writer *out,
                   const char **ret_key)
{
    for (int last_rows = 0; last_rows < 2; last_rows++) {
        for (unsigned i = 0; i < keys->count; i++) {
            if (receive_pair(p, &keys->pair[i], last_rows, out) < 0) {
                *ret_key = keys->pair[i].name;
                return -EPROTO;
            }
        }
    }
    return 0;
}

/* ---- our own side ---- */

/* Does what is agreed so far keep within our limits? Asked of PARAM_MUST_FIT rows only. */
static bool fits(const struct params *p, const struct param_row *row)
{
    uint32_t ours = our_value(p, row), result = param_result(p, row);
    if ((p->discovery && (row->flags & PARAM_SESSION)) ||
        (!p->leading && (row->flags & PARAM_LEADING)))
        return true;
    if ((row->flags & PARAM_LAST) && p->result.initial_r2t && !p->result.immediate_data)
        return true;
    if (row->function == PARAM_LIST)
        return (ours & (1u << result)) != 0;
    return result <= ours; /* PARAM_MIN, and PARAM_AND with No as 0 */
}

static void put_offer(const struct params *p, const struct param_row *row, struct keys_writer *out)
{
    uint32_t ours = our_value(p, row);
    if (row->function != PARAM_LIST) {
        put_value(out, row, ours);
        return;
    }
    char list[64] = "";
    for (uint32_t i = 0; row->words[i]; i++) {
        if (ours & (1u << i)) {
            if (list[0])
                strcat(list, ",");
            strcat(list, row->words[i]);
        }
    }
    keys_put(out, row->name, list);
}

bool params_propose(struct params *p, struct keys_writer *out)
{
    if (!p->declared) {
        p->declared = true;
        p->result.target_max_recv = p->limits.max_recv_data_segment_length;
        keys_put_number(out, "MaxRecvDataSegmentLength", p->result.target_max_recv);
    }
    for (unsigned i = 0; i < param_row_count; i++) {
        const struct param_row *row = &param_rows[i];
        uint64_t bit = row_bit(row);
        if (!(row->flags & PARAM_MUST_FIT) || ((p->seen | p->offered) & bit) || fits(p, row))
            continue;
        put_offer(p, row, out);
        p->offered |= bit;
    }
    return p->offered != 0;
}

int params_check(struct params *p, const char **ret_key)
{
    /* Only where FirstBurstLength is irrelevant (fits() sees to the rest), but never let it lie. */
    uint32_t first_burst = MIN(p->result.first_burst_length, p->result.max_burst_length);
    for (unsigned i = 0; i < param_row_count; i++) {
        const struct param_row *row = &param_rows[i];
        bool awaited = (p->offered & row_bit(row)) != 0;
        if (awaited || ((row->flags & PARAM_MUST_FIT) && !fits(p, row))) {
            *ret_key = row->name;
            return -EPROTO;
        }
    }
    p->result.first_burst_length = first_burst;
    return 0;
}
