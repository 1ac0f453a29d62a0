/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fuzz target provides. With -Dfuzz=true it is linked with libFuzzer, which calls the
 * function alone; else with driver.c, which starts from the seeds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fuzz_seed {
    const void *data;
    size_t size;
};

/* A seed from a string literal (which may contain NUL), without its terminating NUL. */
#define FUZZ_SEED(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* At least one; ends with { NULL, 0 }. */
extern const struct fuzz_seed fuzz_seeds[];
/* Pieces that mutations insert: keywords, lengths, odd bytes. May be empty; ends with { NULL, 0 }. */
extern const struct fuzz_seed fuzz_words[];

/* Must not crash, leak or hang, whatever the bytes; 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
