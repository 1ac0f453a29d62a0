/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the handler fault: rules.c decides what happens, fault.c lets it happen. */
#pragma once

#include <pthread.h>

#include <holdfast/handler.h>

enum action { ACTION_ERROR, ACTION_DELAY, ACTION_HANG, ACTION_TEAR, ACTION_LOSE };
enum rule_op { OP_ANY, OP_READ, OP_WRITE, OP_FLUSH, OP_UNMAP, OP_ZEROES };

/* As the option table fills it. */
struct rule {
    uint32_t op;     /* enum rule_op */
    uint32_t action; /* enum action */
    uint32_t error;  /* index into fault_errors */
    uint32_t reserved;
    uint64_t from, to; /* bytes; to 0: the end */
    uint64_t chance;   /* in a million */
    uint64_t every;    /* the n-th, 2n-th … that is meant */
    uint64_t after;    /* not the first so many */
    uint64_t times;    /* 0: for ever */
    uint64_t delay_ns;
};

struct config {
    const struct hf_lower_config *of;
    uint64_t seed;
    struct hf_list rules; /* of struct rule */
};

#define RULES_MAX 64u

/* The rules in force, with how often each has seen and met an I/O. Under `lock`, which is held for the
   time of a look only. */
struct rules {
    pthread_mutex_t lock;
    struct rule rows[RULES_MAX];
    uint64_t seen[RULES_MAX], met[RULES_MAX];
    uint32_t count;
    uint64_t random;
    _Atomic uint64_t version; /* of update(): what hangs is looked at again */
};

/* What is to become of one I/O. */
struct verdict {
    uint32_t action; /* enum action; NOTHING */
    int32_t error;   /* 0 or negative errno */
    uint64_t delay_ns;
};
#define NOTHING UINT32_MAX

void rules_set(struct rules *rules, const struct config *config);
struct verdict rules_judge(struct rules *rules, const struct hf_io *io);

extern const char *const fault_errors[]; /* words of the option `error`, ended by NULL */
