/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Images between two layouts: what one worker writes the other reads; of a newer and of an older version;
 * cut off, damaged, and made by somebody who means ill. Whatever is refused leaves nothing behind.
 */
#include "image-rig.h"

#include <string.h>

enum { OLD = 1, NEW = 2 }; /* layouts */

/* Memory of the old layout, filled in and written down; then memory of the new one. */
static GByteArray *image_of_old(void)
{
    memory_begin(4, OLD);
    memory_fill();
    GByteArray *image = memory_export();
    memory_begin(7, NEW);
    return image;
}

static void expect_same(const GByteArray *a, const GByteArray *b)
{
    const guint body = 8 + sizeof(struct image_tlv) + sizeof(struct image_head);
    const guint end = sizeof(struct image_tlv) + 16;

    g_assert_cmpuint(a->len, ==, b->len); /* head and check sum differ */
    g_assert_cmpmem(a->data + body, a->len - body - end, b->data + body, b->len - body - end);
}

static void expect_refused(GByteArray *image)
{
    g_assert_nonnull(memory_import(image));
    g_assert_true(memory_is_empty());
    g_byte_array_unref(image);
}

static void all_is_taken_over(void)
{
    GByteArray *image = image_of_old();

    g_assert_cmpstr(memory_import(image), ==, NULL);
    GByteArray *again = memory_export();
    expect_same(image, again);
    const struct session_record *s = arena_ptr(state_session_ref(2));
    g_assert_cmpstr(s->initiator, ==, "iqn.2026-11.org.example:host2");
    g_assert_cmphex(s->task[1].answer_data, ==, arena_ref_of(ARENA_STATE, s->task[1].small));
    g_assert_cmpuint(s->task[4].buffers, ==, 4);
    g_assert_cmpuint(s->counters.commands, ==, 1002);
    const struct connection_record *c = arena_ptr(state_connection_ref(3));
    g_assert_cmpuint(c->stream.hot[0].tx_last, ==, 4);
    g_assert_cmphex(c->window[129], ==, 0x5a);
    g_assert_cmphex(c->window[130], ==, 0);
    g_byte_array_unref(again);
    g_byte_array_unref(image);
}

/* There is no way to take one's own memory for the other's. */
static void one_layout_needs_no_image(void)
{
    memory_begin(4, OLD);
    memory_fill();
    GByteArray *image = memory_export();
    g_assert_nonnull(memory_import(image));
    g_assert_false(memory_is_empty());
    g_byte_array_unref(image);
}

/* ---- versions ---- */

#define OPTIONAL_TYPE 4000

static void as_newer(struct image_writer *w, const struct image_record *record, unsigned number,
                     void *data)
{
    static const uint8_t more[24] = { 1, 2, 3 };
    bool fixed = record->type == IMAGE_UNIT_ATTENTIONS || record->type == IMAGE_UNIT_SANITIZE ||
                 record->type == IMAGE_UNIT_RESERVATIONS || record->type == IMAGE_WINDOW ||
                 record->type == IMAGE_TASK_SMALL;

    image_put_with(w, record->type, record->flags, record->body, record->bytes, more,
                   fixed ? 0 : sizeof(more));
    image_put(w, OPTIONAL_TYPE, 0, more, number % sizeof(more));
}

static void a_newer_one_is_read(void)
{
    GByteArray *image = image_of_old(), *newer = image_changed(image, as_newer, NULL);

    g_assert_cmpstr(memory_import(newer), ==, NULL);
    GByteArray *again = memory_export();
    expect_same(image, again);
    g_byte_array_unref(again);
    g_byte_array_unref(newer);
    g_byte_array_unref(image);
}

static void with_critical(struct image_writer *w, const struct image_record *record,
                          unsigned number, void *data)
{
    image_put(w, record->type, record->flags, record->body, record->bytes);
    if (number == *(unsigned *)data)
        image_put(w, OPTIONAL_TYPE, IMAGE_CRITICAL, "x", 1);
}

static void with_head(struct image_writer *w, const struct image_record *record, unsigned number,
                      void *data)
{
    image_put(w, record->type, record->flags, number ? record->body : data, record->bytes);
}

static void one_that_is_too_new_is_refused(void)
{
    GByteArray *image = image_of_old();
    struct image_head head;

    for (unsigned at = 0; at < 100; at += 7)
        expect_refused(image_changed(image, with_critical, &at));
    memcpy(&head, image->data + 8 + sizeof(struct image_tlv), sizeof(head));
    head.version = head.oldest = IMAGE_VERSION + 1;
    expect_refused(image_changed(image, with_head, &head));
    head.oldest = IMAGE_VERSION; /* newer, and yet for us */
    GByteArray *newer = image_changed(image, with_head, &head);
    g_assert_cmpstr(memory_import(newer), ==, NULL);
    g_byte_array_unref(newer);
    memory_begin(7, NEW);
    head.reactors++;
    expect_refused(image_changed(image, with_head, &head));
    g_byte_array_unref(image);
}

static void as_older(struct image_writer *w, const struct image_record *record, unsigned number,
                     void *data)
{
    if (record->flags & IMAGE_CRITICAL) /* it did not know of the others */
        image_put(w, record->type, record->flags, record->body, record->bytes);
}

static void an_older_one_is_read(void)
{
    GByteArray *image = image_of_old(), *older = image_changed(image, as_older, NULL);

    g_assert_cmpstr(memory_import(older), ==, NULL);
    const struct session_record *s = arena_ptr(state_session_ref(1));
    g_assert_cmpuint(s->counters.commands, ==, 0);
    g_assert_cmpuint(s->tsih, ==, 11);
    g_byte_array_unref(older);
    g_byte_array_unref(image);
}

/* ---- damage ---- */

static void what_is_cut_off_is_refused(void)
{
    GByteArray *image = image_of_old();

    for (guint n = 0; n < image->len; n += n < 400 || n + 400 > image->len ? 1 : 97)
        expect_refused(g_byte_array_append(g_byte_array_new(), image->data, n));
    g_byte_array_unref(image);
}

static void what_is_damaged_is_refused(void)
{
    GByteArray *image = image_of_old();

    for (guint n = 0; n < image->len; n += 13) {
        image->data[n] ^= (uint8_t)(1u << n % 8);
        g_assert_nonnull(memory_import(image));
        image->data[n] ^= (uint8_t)(1u << n % 8);
    }
    g_assert_true(memory_is_empty());
    g_assert_cmpstr(memory_import(image), ==, NULL);
    g_byte_array_unref(image);
}

/* One field of the first record of a type has another value, and the check sum is right. */
struct lie {
    uint16_t type;
    size_t offset, bytes;
    uint64_t value;
    bool told;
};
#define LIE(kind, name, field, to)                                                                 \
    {                                                                                              \
        kind, offsetof(struct name, field), sizeof(((struct name *)0)->field), to, false           \
    }

static void with_lie(struct image_writer *w, const struct image_record *record, unsigned number,
                     void *data)
{
    struct lie *lie = data;
    g_autofree uint8_t *body = g_memdup2(record->body, record->bytes);

    if (record->type == lie->type && !lie->told) {
        lie->told = true;
        if (lie->bytes > 8)
            memset(body + lie->offset, 0xff, lie->bytes); /* a string that does not end */
        else
            memcpy(body + lie->offset, &lie->value, lie->bytes);
    }
    image_put(w, record->type, record->flags, body, record->bytes);
}

static void lies_are_refused(void)
{
    struct lie lies[] = {
        LIE(IMAGE_HEAD, image_head, sessions, 3),
        LIE(IMAGE_HEAD, image_head, connections, 99),
        LIE(IMAGE_HEAD, image_head, units, 0),
        LIE(IMAGE_HEAD, image_head, state_name, 0),
        LIE(IMAGE_UNIT, image_unit, target, 0),
        LIE(IMAGE_UNIT, image_unit, lun, 1), /* comes twice */
        LIE(IMAGE_UNIT_OWNER, image_name, port, 0),
        LIE(IMAGE_SESSION, image_session, index, 7),
        LIE(IMAGE_SESSION, image_session, index, UINT32_MAX),
        LIE(IMAGE_SESSION, image_session, index, 2), /* another one's */
        LIE(IMAGE_SESSION, image_session, window, 0),
        LIE(IMAGE_SESSION, image_session, window, STATE_WINDOW_MAX + 1),
        LIE(IMAGE_SESSION, image_session, touched, 32 + STATE_TASKS_EXTRA + 1),
        LIE(IMAGE_SESSION, image_session, touched, 3),
        LIE(IMAGE_SESSION, image_session, initiator, 0),
        LIE(IMAGE_SESSION, image_session, target, 0),
        LIE(IMAGE_NEXUS_UNIT, image_nexus_unit, index, SCSI_LUNS_MAX),
        LIE(IMAGE_TASK, image_task, index, 9),
        LIE(IMAGE_TASK, image_task, index, 1), /* comes twice */
        LIE(IMAGE_TASK, image_task, done_pos, 0),
        LIE(IMAGE_TASK, image_task, answer_data, arena_ref_make(ARENA_STATE, 4096)),
        LIE(IMAGE_TASK, image_task, answer_data, arena_ref_make(ARENA_MAX, 0)),
        LIE(IMAGE_TASK_BUFFER, image_buffer, ref, arena_ref_make(ARENA_STATE, 0)),
        LIE(IMAGE_TASK_BUFFER, image_buffer, ref, 0),
        LIE(IMAGE_CONNECTION, image_connection, index, 7),
        LIE(IMAGE_CONNECTION, image_connection, index, 2),
        LIE(IMAGE_CONNECTION, image_connection, session, 0),
        LIE(IMAGE_CONNECTION, image_connection, session, UINT32_MAX),
        LIE(IMAGE_CONNECTION, image_connection, number, STATE_CONNECTIONS_PER_SESSION),
        LIE(IMAGE_CONNECTION, image_connection, peer, 0),
        LIE(IMAGE_CONNECTION, image_connection, portal, 0),
        LIE(IMAGE_CONNECTION, image_connection, tx_tail, 5),
        LIE(IMAGE_WINDOW, image_window, offset, STREAM_WINDOW_BYTES - 10),
        LIE(IMAGE_WINDOW, image_window, offset, UINT32_MAX),
        LIE(IMAGE_SEND, image_send, pos, 1),
        LIE(IMAGE_SEND, image_send, data, arena_ref_make(ARENA_STATE, 0)),
        LIE(IMAGE_SEND, image_send, data, 0),
        LIE(IMAGE_SEND, image_send, data_bytes, 4095),
        LIE(IMAGE_SEND, image_send, owner, STATE_TASKS_MAX + 1),
        LIE(IMAGE_SEND, image_send, place, IMAGE_SEND_SMALL),
        LIE(IMAGE_SEND, image_send, place, IMAGE_SEND_WINDOW),
        LIE(IMAGE_SEND, image_send, place, 3),
        LIE(IMAGE_SEND, image_send, header_bytes, 57),
        LIE(IMAGE_SEND, image_send, trailer_bytes, 9),
    };
    GByteArray *image = image_of_old();

    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        GByteArray *changed = image_changed(image, with_lie, &lies[i]);
        g_assert_true(lies[i].told);
        g_test_message("lie %u: %s", i, memory_import(changed));
        expect_refused(changed);
    }
    g_byte_array_unref(image);
}

/* Each kind of record once too often, left out, too short, and where nothing of its kind may be. */
struct spoil {
    unsigned number;
    enum { LEFT_OUT, TOO_SHORT, ALONE } how;
    struct image_record record; /* of that number */
};

static void spoil(struct image_writer *w, const struct image_record *record, unsigned number,
                  void *data)
{
    struct spoil *s = data;
    bool here = number == s->number;

    if (here)
        s->record = *record;
    if (s->how == ALONE && number && !here)
        return;
    if (!here || s->how != LEFT_OUT)
        image_put(w, record->type, record->flags, record->body,
                  here && s->how == TOO_SHORT ? record->bytes / 2 : record->bytes);
}

static void what_does_not_belong_together_is_refused(void)
{
    GByteArray *image = image_of_old();

    for (unsigned how = LEFT_OUT; how <= ALONE; how++) {
        for (struct spoil s = { .how = how };; s.number++) {
            s.record.type = 0;
            GByteArray *spoilt = image_changed(image, spoil, &s);
            if (!s.record.type) { /* there are no more */
                g_byte_array_unref(spoilt);
                break;
            }
            const char *why = memory_import(spoilt);
            if (why)
                g_assert_true(memory_is_empty());
            switch (s.record.type) {
            case IMAGE_HEAD:
                g_assert_true(how == ALONE || why);
                break;
            case IMAGE_UNIT:
            case IMAGE_SESSION:
            case IMAGE_CONNECTION:
                g_assert_nonnull(why);
                break;
            }
            g_byte_array_unref(spoilt);
        }
    }
    g_byte_array_unref(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/handover/image/all", all_is_taken_over);
    g_test_add_func("/handover/image/one-layout", one_layout_needs_no_image);
    g_test_add_func("/handover/image/newer", a_newer_one_is_read);
    g_test_add_func("/handover/image/too-new", one_that_is_too_new_is_refused);
    g_test_add_func("/handover/image/older", an_older_one_is_read);
    g_test_add_func("/handover/image/cut-off", what_is_cut_off_is_refused);
    g_test_add_func("/handover/image/damaged", what_is_damaged_is_refused);
    g_test_add_func("/handover/image/lies", lies_are_refused);
    g_test_add_func("/handover/image/spoilt", what_does_not_belong_together_is_refused);
    int r = g_test_run();
    memory_end();
    return r;
}
