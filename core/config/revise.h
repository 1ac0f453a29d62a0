/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One target of a configuration made, changed or removed, without a look at the others. A file with ten
 * thousand targets is cut down to one that has everything but targets, and of those the one that is meant and
 * its neighbours: this slice is a configuration like any other. It is edited (edit.h) and read, and what has
 * become of the target is put into the model in memory, and into the text, where it was cut out.
 *
 * What is left that grows with the number of targets: adding to offsets and lines in one array, and copying
 * the text. The first slice after a whole file was read finds where its targets begin, a look at each line.
 *
 * A file whose targets are not written one below the other is not cut (-ENOTSUP), and whatever is wrong with
 * the new text, or would be warned of, is not judged here (-EINVAL): the caller reads all of it, as if there
 * were no slices, and hears the same of it.
 *
 * Thread: the one that owns the configuration; nobody else may read a list of targets or a line meanwhile.
 */
#pragma once

#include "config/model.h"

struct config_slice {
    char *text;
    size_t length;
    size_t head, tail;    /* bytes before and behind the targets */
    size_t begin, end;    /* of the targets that are in it, in the whole text */
    unsigned first, last; /* which they are */
};

/*
 * `text` is that of the configuration. The target need not be there: then it is about to be added. 0;
 * -ENOTSUP: there is no slice.
 */
int config_slice_cut(struct config *config, const char *text, size_t length, const char *target,
                     struct config_slice *ret_slice);
void config_slice_clear(struct config_slice *slice);
/* The whole text with `edited` in place of the slice, or NULL: more than targets has changed; g_free(). */
char *config_slice_join(const struct config_slice *slice, const char *edited, size_t length,
                        const char *text, size_t text_length, size_t *ret_length);

struct config_revision;

/*
 * What `edited` makes of the target; the configuration stays as it is. 0; -EINVAL: it has to be read as a
 * whole.
 */
int config_revision_new(struct config *config, const struct config_slice *slice, const char *edited,
                        size_t length, const char *target, struct config_revision **ret_revision);
/* It was not applied, or nobody looks at what it has taken out any more. NULL is fine. */
struct config_revision *config_revision_free(struct config_revision *revision);

/* NULL: it is added, or removed. Both stay until the revision is freed, applied or not. */
const struct config_target *config_revision_old(const struct config_revision *revision);
const struct config_target *config_revision_new_target(const struct config_revision *revision);
/* Where the target is in config->targets, or will be. */
unsigned config_revision_index(const struct config_revision *revision);

/* Bytes `at` to `at` + `cut` of the text become these. */
struct config_patch {
    size_t at, cut, length;
    const char *text; /* the revision's */
};
struct config_patch config_revision_patch(const struct config_revision *revision);

/* The configuration says it now; cannot fail. Its text is the patched one. */
void config_revision_apply(struct config *config, struct config_revision *revision);

/* It lies in a text of so many bytes, which does not become too long. */
bool config_patch_fits(const struct config_patch *patch, size_t length);
/* Another text, patched; NULL when it does not fit; g_free(). */
char *config_patch_apply(const struct config_patch *patch, const char *text, size_t length,
                         size_t *ret_length);
/*
 * The text itself (of g_malloc(); with room for more when it was patched before), patched, where it fits: only what
 * is behind is moved. It ends with a NUL.
 */
char *config_patch_put(const struct config_patch *patch, char *text, size_t *length);
