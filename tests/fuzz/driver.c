/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target as an ordinary test: every seed, every seed cut at each length, then some
 * thousand mutations of them. The mutations are the same in every run, so a failure is repeatable;
 * the number of the failing input is printed by a crash handler that the sanitizers leave alone.
 *
 * usage: NAME [-n MUTATIONS] [FILE...]     FILEs are run as they are (to look at one crash)
 */
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX 65536

static uint64_t random_state = 0x9e3779b97f4a7c15ull;
static uint8_t input[INPUT_MAX];
static volatile unsigned long input_number;

/* xorshift64* */
static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return limit ? (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32) % limit : 0;
}

static void crashed(int signal_number)
{
    char text[80];
    int n = snprintf(text, sizeof(text), "# crashed in input %lu\n", input_number);
    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static unsigned count(const struct fuzz_seed *list)
{
    unsigned n = 0;
    while (list[n].data)
        n++;
    return n;
}

/* The target gets a heap copy of the exact size, so that a sanitizer sees reads beyond it. */
static void run(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    input_number++;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t insert(size_t size, const void *data, size_t bytes)
{
    size_t at = random_below((uint32_t)size + 1);
    if (size + bytes > INPUT_MAX)
        return size;
    memmove(input + at + bytes, input + at, size - at);
    memmove(input + at, data, bytes);
    return size + bytes;
}

static size_t overwrite(size_t size, const void *data, size_t bytes)
{
    if (bytes <= size)
        memcpy(input + random_below((uint32_t)(size - bytes) + 1), data, bytes);
    return size;
}

static size_t cut_out(size_t size)
{
    size_t at = random_below((uint32_t)size);
    size_t bytes = 1 + random_below((uint32_t)(size - at));
    memmove(input + at, input + at + bytes, size - at - bytes);
    return size - bytes;
}

static size_t mutate(size_t size, unsigned words, unsigned seeds)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '\n', ' ', '=' };
    const struct fuzz_seed *w = words ? &fuzz_words[random_below(words)] : NULL;
    const struct fuzz_seed *s = &fuzz_seeds[random_below(seeds)];
    uint8_t byte = (uint8_t)random_below(256);
    uint8_t copy[64];

    switch (random_below(8)) {
    case 0: /* flip a bit */
        if (size)
            input[random_below((uint32_t)size)] ^= (uint8_t)(1u << random_below(8));
        return size;
    case 1:
        return overwrite(size, &odd[random_below(sizeof(odd))], 1);
    case 2:
        return insert(size, &byte, 1);
    case 3:
        return size ? cut_out(size) : size;
    case 4:
        return w ? insert(size, w->data, w->size) : size;
    case 5:
        return w ? overwrite(size, w->data, w->size) : size;
    case 6: /* a piece of itself again */
        if (size > sizeof(copy)) {
            memcpy(copy, input + random_below((uint32_t)(size - sizeof(copy))), sizeof(copy));
            return insert(size, copy, 1 + random_below(sizeof(copy)));
        }
        return size;
    default: /* the tail of another seed */
        if (s->size && s->size < INPUT_MAX / 4) {
            size_t from = random_below((uint32_t)s->size);
            return insert(size, (const uint8_t *)s->data + from, s->size - from);
        }
        return size;
    }
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    size_t size = fread(input, 1, sizeof(input), f);
    fclose(f);
    run(input, size);
    return 0;
}

static void run_mutations(unsigned long mutations, unsigned seeds)
{
    unsigned words = count(fuzz_words);
    for (unsigned long i = 0; i < mutations; i++) {
        const struct fuzz_seed *s = &fuzz_seeds[i % seeds];
        size_t size = s->size < INPUT_MAX ? s->size : INPUT_MAX;
        memcpy(input, s->data, size);
        for (unsigned n = 1 + random_below(6); n > 0; n--)
            size = mutate(size, words, seeds);
        run(input, size);
    }
}

int main(int argc, char **argv)
{
    unsigned long mutations = 20000;
    int option, failed = 0;
    while ((option = getopt(argc, argv, "n:")) != -1) {
        if (option != 'n')
            return 2;
        mutations = strtoul(optarg, NULL, 10);
    }
    signal(SIGABRT, crashed);
    if (optind < argc) {
        for (; optind < argc; optind++)
            failed |= run_file(argv[optind]);
        return failed;
    }

    unsigned seeds = count(fuzz_seeds);
    printf("1..1\n");
    for (unsigned i = 0; i < seeds; i++) {
        size_t step = 1 + fuzz_seeds[i].size / 1024;
        for (size_t size = 0; size < fuzz_seeds[i].size; size += step)
            run(fuzz_seeds[i].data, size);
        run(fuzz_seeds[i].data, fuzz_seeds[i].size);
    }
    run_mutations(mutations, seeds);
    printf("ok 1 - %lu inputs from %u seeds\n", input_number, seeds);
    return 0;
}
