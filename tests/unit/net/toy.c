/* SPDX-License-Identifier: BSD-3-Clause */
#include "toy.h"

#include <string.h>
#include <unistd.h>

/* stream_hot.number[] */
enum { NUMBER, SUM_LOW, SUM_HIGH, DIRECT, LENGTH };

struct server {
    struct stream stream;
    struct reactor *reactor;
    struct toy_record *record;
    struct reactor_message begin;
    bool stalled;
};

static void finish(struct server *v, uint32_t length)
{
    struct stream *s = &v->stream;
    uint32_t *n = s->next.number;
    const uint8_t *bytes = v->record->slot[n[NUMBER] % TOY_SLOTS];
    uint64_t sum = n[SUM_LOW] | (uint64_t)n[SUM_HIGH] << 32;

    for (uint32_t i = 0; i < length; i++)
        if (bytes[i] != toy_byte(n[NUMBER], i))
            _exit(TOY_BYTES);
    sum = toy_sum(sum, n[NUMBER], bytes, length);
    struct stream_tx *e = stream_tx_next(s);
    struct toy_head head = { .length = length, .number = n[NUMBER], .sum = sum };
    memcpy(e->header, &head, sizeof(head));
    e->header_bytes = sizeof(head);
    e->data = length ? arena_ref_of(ARENA_STATE, bytes) : 0;
    e->data_bytes = length;
    e->trailer_bytes = 0;
    e->owner = 1;
    stream_tx_push(s, e);
    n[SUM_LOW] = (uint32_t)sum;
    n[SUM_HIGH] = (uint32_t)(sum >> 32);
    n[NUMBER]++;
    n[DIRECT] = 0;
    stream_commit(s);
}

/* A long message goes to its slot in three parts, as buffers may be. */
static unsigned parts_of(struct server *v, uint32_t from, uint32_t length, struct stream_part *part)
{
    uint8_t *slot = v->record->slot[v->stream.next.number[NUMBER] % TOY_SLOTS];
    const uint32_t cut[] = { 5000, 70000, length };
    unsigned count = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(cut) && from < length; i++) {
        uint32_t end = MIN(cut[i], length);
        if (from >= end)
            continue;
        part[count++] = (struct stream_part){ .where = arena_ref_of(ARENA_STATE, slot + from),
                                              .bytes = end - from };
        from = end;
    }
    return count;
}

/* False: more bytes are needed, or there is no slot. */
static bool one_message(struct server *v)
{
    struct stream *s = &v->stream;
    uint32_t *n = s->next.number;
    const uint8_t *p;
    struct toy_head head;

    if (stream_direct_missing(s))
        return false;
    if (n[DIRECT]) {
        stream_direct_finish(s);
        finish(v, n[LENGTH]);
        return true;
    }
    uint32_t have = stream_peek(s, &p);
    if (have < sizeof(head))
        return false;
    v->stalled = s->next.tx_last - s->next.tx_first >= TOY_SLOTS - 1;
    if (v->stalled)
        return false;
    memcpy(&head, p, sizeof(head));
    if (head.number != n[NUMBER])
        _exit(TOY_NUMBER);
    if (head.length > TOY_LENGTH_MAX)
        _exit(TOY_LENGTH);
    if (head.length <= TOY_SHORT) {
        if (have < sizeof(head) + head.length)
            return false;
        memcpy(v->record->slot[head.number % TOY_SLOTS], p + sizeof(head), head.length);
        stream_consume(s, (uint32_t)sizeof(head) + head.length);
        finish(v, head.length);
        return true;
    }
    struct stream_part part[STREAM_PLAN_PARTS];
    stream_consume(s, sizeof(head));
    stream_direct(s, part, parts_of(v, 0, head.length, part), head.length);
    n[DIRECT] = 1;
    n[LENGTH] = head.length;
    stream_commit(s);
    return true;
}

static void run(struct server *v)
{
    while (one_message(v))
        ;
    if (!v->stalled)
        stream_receive(&v->stream);
}

static void received(struct stream *stream)
{
    run(container_of(stream, struct server, stream));
}

static void written(struct stream *stream, uint32_t owner)
{
}

static void writable(struct stream *stream)
{
    struct server *v = container_of(stream, struct server, stream);
    if (v->stalled) {
        v->stalled = false;
        run(v);
    }
}

static void ended(struct stream *stream, int error)
{
    _exit(error ? TOY_ENDED : 0);
}

static const struct stream_ops ops = {
    .received = received, .written = written, .writable = writable, .ended = ended
};

static void begin_run(struct reactor_message *message)
{
    struct server *v = container_of(message, struct server, begin);
    stream_attach(&v->stream, v->reactor);
    stream_send(&v->stream);
    run(v);
}

static bool resume(struct server *v, int fd, arena_ref state, arena_ref window)
{
    if (stream_resume(&v->stream, fd, state, window, &ops) < 0)
        return false;
    uint32_t missing = stream_direct_missing(&v->stream), length = v->stream.next.number[LENGTH];
    if (missing) {
        struct stream_part part[STREAM_PLAN_PARTS];
        stream_resume_direct(&v->stream, part, parts_of(v, length - missing, length, part));
    }
    return true;
}

void toy_serve(int fd, int tombstone, gboolean fresh)
{
    static struct server server;
    struct reactor_options options = { .name = "toy", .cpu = -1, .tombstone_fd = tombstone };
    arena_ref state = arena_ref_make(ARENA_STATE, offsetof(struct toy_record, stream));
    arena_ref window = arena_ref_make(ARENA_STATE, offsetof(struct toy_record, window));

    server.record = (struct toy_record *)arena_table[ARENA_STATE].base;
    server.begin.run = begin_run;
    if (reactor_create(&options, &server.reactor) < 0)
        _exit(TOY_REACTOR);
    close(tombstone);
    if (fresh ? stream_init(&server.stream, fd, state, window, &ops) < 0
              : !resume(&server, fd, state, window))
        _exit(TOY_RESUME);
    reactor_post(server.reactor, &server.begin);
    if (reactor_start(server.reactor) < 0)
        _exit(TOY_REACTOR);
    for (;;)
        pause();
}
