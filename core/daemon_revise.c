/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One target made, changed or removed by request (config/revise.h). What it takes is found here first, and the
 * keeper hears where the text changes; then it goes as any reload does, with the plan of that target alone. What
 * is wrong with the new text, or would be warned of, is said by a reload of the whole.
 */
#include <errno.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "control/plan.h"
#include "daemon_private.h"

int daemon_slice(void *user, const char *target, struct config_slice *ret_slice)
{
    struct daemon *d = user;
    if (!d->patches || d->reload) /* which may be about to change what is cut */
        return -ENOTSUP;
    return config_slice_cut(d->config, d->text, d->text_length, target, ret_slice);
}

/* The patch, and behind it what plugins are tried with; or -1. */
static int patch_fd(const struct config_patch *patch, const char *edited, size_t length)
{
    GString *said = g_string_new_len(patch->text, (gssize)patch->length);
    g_string_append_len(said, edited, (gssize)length);
    int fd = control_text_fd(said->str, said->len);
    g_string_free(said, TRUE);
    return fd;
}

static struct link_message message_of(const struct control_reload *how)
{
    return (struct link_message){
        .type = LINK_RELOAD_ASK,
        .fd = -1,
        .reload = { .force = how->force, .drain_ms = how->drain_ms, .write = how->write },
    };
}

/* False: not by a patch. */
static bool ask_patched(struct daemon *d, const struct config_slice *slice, const char *edited,
                        size_t length, const char *target, const struct control_reload *how,
                        control_reload_fn *done, void *data)
{
    struct config_revision *revision = NULL;
    if (!d->patches || config_revision_new(d->config, slice, edited, length, target, &revision) < 0)
        return false;
    struct config_patch patch = config_revision_patch(revision);
    struct link_message m = message_of(how);
    m.fd = patch_fd(&patch, edited, length);
    if (m.fd < 0) {
        config_revision_free(revision);
        return false;
    }
    m.reload.patched = 1;
    m.reload.crc = crc32c(CRC32C_START, d->text, d->text_length);
    m.reload.bytes = d->text_length;
    m.reload.at = patch.at;
    m.reload.cut = patch.cut;
    m.reload.length = patch.length;
    m.reload.targets = d->config->target_count + !config_revision_old(revision) -
                       !config_revision_new_target(revision);
    d->asker = (struct daemon_asker){ .done = done,
                                      .data = data,
                                      .target = g_strdup(how->reopen_target),
                                      .lun = how->reopen_lun,
                                      .revision = revision,
                                      .how = *how };
    d->asker.how.reopen_target = NULL;
    daemon_tell(d, &m);
    close(m.fd);
    return true;
}

void daemon_revise_ask(void *user, const struct config_slice *slice, const char *edited,
                       size_t length, const char *target, const struct control_reload *how,
                       control_reload_fn *done, void *data)
{
    struct daemon *d = user;
    struct control_reload whole = *how;
    size_t bytes = 0;
    if (d->asker.done || d->reload || d->resize) {
        done(data, NULL, 0, "another change is under way");
        return;
    }
    if (ask_patched(d, slice, edited, length, target, how, done, data))
        return;
    g_autofree char *text =
        config_slice_join(slice, edited, length, d->text, d->text_length, &bytes);
    whole.fd = text ? control_text_fd(text, bytes) : -1;
    if (whole.fd < 0) {
        done(data, NULL, 0, text ? "no memory" : "the new configuration is too long");
        return;
    }
    daemon_reload_ask(d, &whole, done, data);
    close(whole.fd);
}

bool daemon_revise_again(struct daemon *d)
{
    struct config_revision *revision = g_steal_pointer(&d->asker.revision);
    struct link_message m = message_of(&d->asker.how);
    size_t bytes = 0;
    if (!revision)
        return false;
    struct config_patch patch = config_revision_patch(revision);
    g_autofree char *text = config_patch_apply(&patch, d->text, d->text_length, &bytes);
    config_revision_free(revision);
    m.fd = text ? control_text_fd(text, bytes) : -1;
    if (m.fd < 0)
        return false;
    daemon_tell(d, &m);
    close(m.fd);
    return true;
}
