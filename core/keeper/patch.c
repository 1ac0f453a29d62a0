/* SPDX-License-Identifier: BSD-3-Clause */
/* See patch.h. What a worker says is checked as if it came from a stranger. */
#include "keeper/patch.h"

#include "base/crc32c.h"
#include "config/file.h"
#include "config/revise.h"

#include <errno.h>
#include <glib.h>

static bool is_of_text(const struct keeper *k, const struct link_reload *m)
{
    return m->bytes == k->text_bytes && m->crc == crc32c(CRC32C_START, k->text, k->text_bytes);
}

static int take(const struct keeper *k, const struct link_reload *m, const char *said, size_t bytes,
                struct patched *ret_patched)
{
    if (m->length > bytes)
        return -EBADMSG;
    const struct config_patch patch = {
        .at = m->at, .cut = m->cut, .length = m->length, .text = said
    };
    struct patched p = { .trial_fd = -1 };
    p.text = config_patch_apply(&patch, k->text, k->text_bytes, &p.bytes);
    if (!p.text)
        return -EBADMSG;
    int r = config_seal(said + m->length, bytes - m->length, &p.trial_fd);
    if (r < 0)
        g_free(p.text);
    else
        *ret_patched = p;
    return r;
}

int patch_take(const struct keeper *k, const struct link_message *m, struct patched *ret_patched)
{
    char *said = NULL;
    size_t bytes = 0;
    if (m->fd < 0)
        return -EBADMSG;
    if (!is_of_text(k, &m->reload))
        return -ESTALE;
    int r = config_file_read_fd(m->fd, &said, &bytes);
    if (r == 0)
        r = take(k, &m->reload, said, bytes, ret_patched);
    g_free(said);
    return r;
}
