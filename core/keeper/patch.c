/* SPDX-License-Identifier: BSD-3-Clause */
/* See patch.h. What a worker says is checked as if it came from a stranger. */
#include "keeper/patch.h"

#include "base/crc32c.h"
#include "config/file.h"

#include <errno.h>
#include <glib.h>

static bool is_of_text(const struct keeper *k, const struct link_reload *m)
{
    return m->bytes == k->text_bytes && m->crc == crc32c(CRC32C_START, k->text, k->text_bytes);
}

/* Takes over `said` when it returns 0. */
static int take(const struct keeper *k, const struct link_reload *m, char *said, size_t bytes,
                struct patched *ret_patched)
{
    if (m->length > bytes)
        return -EBADMSG;
    struct patched p = {
        .said = said,
        .patch = { .at = m->at, .cut = m->cut, .length = m->length, .text = said },
        .trial_fd = -1,
    };
    if (!config_patch_fits(&p.patch, k->text_bytes))
        return -EBADMSG;
    int r = config_seal(said + m->length, bytes - m->length, &p.trial_fd);
    if (r == 0)
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
    if (r < 0)
        g_free(said);
    return r;
}

void patch_pieces(const struct keeper *k, const struct patched *patched,
                  struct iovec pieces[static PATCH_PIECES])
{
    const struct config_patch *p = &patched->patch;
    size_t behind = p->at + p->cut;
    pieces[0] = (struct iovec){ k->text, p->at };
    pieces[1] = (struct iovec){ (char *)p->text, p->length };
    pieces[2] = (struct iovec){ k->text + behind, k->text_bytes - behind };
}

int patch_seal(const struct keeper *k, const struct patched *patched, int *ret_fd)
{
    size_t bytes = 0;
    g_autofree char *text = config_patch_apply(&patched->patch, k->text, k->text_bytes, &bytes);
    return text ? config_seal(text, bytes, ret_fd) : -EINVAL;
}
