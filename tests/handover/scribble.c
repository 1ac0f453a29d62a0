/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scribble MEMORY INITIATOR SEED|tasks: spoils what the state memory (a path under /proc/PID/fd) holds of the sessions
 * of one initiator name: a few words of the session record, of its tasks, or of its connections' streams. What
 * it did is printed, one line a word. With "tasks" the session knows of none any more. Only for a worker that
 * stands still and is killed afterwards.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "iscsi/state.h"

struct arena arena_table[ARENA_MAX];

static uint64_t seed;

static uint32_t random_below(uint32_t limit) /* splitmix64 */
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) % limit);
}

static uint32_t spoilt(uint32_t old)
{
    switch (random_below(5)) {
    case 0:
        return old ^ 1u << random_below(32);
    case 1:
        return old + 1 + random_below(4096);
    case 2:
        return 0;
    case 3:
        return UINT32_MAX - random_below(2);
    default:
        return random_below(UINT32_MAX);
    }
}

static void spoil(const char *what, void *record, size_t begin, size_t end)
{
    size_t at = begin + 4 * random_below((uint32_t)((end - begin) / 4));
    uint32_t *word = (uint32_t *)((uint8_t *)record + at), old = *word;
    *word = spoilt(old);
    printf("%s+%zu: 0x%x -> 0x%x\n", what, at, old, *word);
}

static void spoil_connections(uint32_t session)
{
    const struct state_head *h = state_head();
    for (uint32_t i = 0; i < h->connections; i++) {
        struct connection_record *c = arena_ptr(state_connection_ref(i));
        if (!*state_connection_used(h->sessions, i) || c->session != session)
            continue;
        if (random_below(2))
            spoil("stream", c, offsetof(struct connection_record, stream.plan),
                  offsetof(struct connection_record, stream.tx));
        else if (random_below(2))
            spoil("queue", c, offsetof(struct connection_record, stream.tx),
                  offsetof(struct connection_record, slot));
        else
            spoil("connection", c, offsetof(struct connection_record, slot),
                  offsetof(struct connection_record, window));
    }
}

static void spoil_session(uint32_t index)
{
    struct session_record *s = arena_ptr(state_session_ref(index));
    switch (random_below(4)) {
    case 0:
        spoil("session", s, offsetof(struct session_record, tsih),
              offsetof(struct session_record, initiator));
        break;
    case 1:
        spoil("names", s, offsetof(struct session_record, initiator),
              offsetof(struct session_record, task));
        break;
    case 2:
        for (uint32_t i = 0; i < s->touched && i < STATE_TASKS_MAX; i++)
            spoil("task", &s->task[i], 0, sizeof(s->task[i]));
        break;
    default:
        spoil_connections(index);
    }
}

int main(int argc, char *argv[])
{
    struct stat st;
    int fd = argc == 4 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) < 0) {
        fputs("usage: scribble /proc/PID/fd/N INITIATOR SEED|tasks\n", stderr);
        return 2;
    }
    bool tasks = strcmp(argv[3], "tasks") == 0;
    seed = strtoull(argv[3], NULL, 0);
    arena_table[ARENA_STATE] =
        (struct arena){ mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                        (uint64_t)st.st_size, fd };
    if (arena_table[ARENA_STATE].base == MAP_FAILED || state_head()->magic != STATE_MAGIC) {
        fputs("scribble: this is no state memory\n", stderr);
        return 1;
    }
    unsigned found = 0;
    for (uint32_t i = 0; i < state_head()->sessions; i++) {
        struct session_record *s = arena_ptr(state_session_ref(i));
        if (!*state_session_used(i) || strcmp(s->initiator, argv[2]) != 0)
            continue;
        found++;
        if (tasks) {
            printf("touched: %u -> 0\n", s->touched);
            s->touched = 0;
            continue;
        }
        for (unsigned words = 1 + random_below(4); words; words--)
            spoil_session(i);
    }
    return found ? 0 : 1;
}
