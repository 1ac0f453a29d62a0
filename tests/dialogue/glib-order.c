/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells ThreadSanitizer what Debian's GLib, which is not instrumented, does: whatever a thread did before
 * it handed a function to a main context has happened before that function runs. Loaded into the
 * daemon with LD_PRELOAD by the dialogues of the TSan build (HOLDFAST_TEST_PRELOAD); no part of the
 * daemon. GLib itself is told off in tests/lib/tsan.supp.
 */
#include <dlfcn.h>
#include <glib.h>
#include <stdlib.h>

struct handed {
    GSourceFunc function;
    gpointer data;
    GDestroyNotify notify;
    int order; /* stored when handed over, loaded when run: that is all the sanitizer needs */
};

typedef void (*invoke_fn)(GMainContext *, gint, GSourceFunc, gpointer, GDestroyNotify);

static gboolean run(gpointer data)
{
    struct handed *handed = data;
    (void)__atomic_load_n(&handed->order, __ATOMIC_ACQUIRE);
    return handed->function(handed->data);
}

static void drop(gpointer data)
{
    struct handed *handed = data;
    if (handed->notify)
        handed->notify(handed->data);
    free(handed);
}

void g_main_context_invoke_full(GMainContext *context, gint priority, GSourceFunc function,
                                gpointer data, GDestroyNotify notify)
{
    invoke_fn real = (invoke_fn)dlsym(RTLD_NEXT, "g_main_context_invoke_full");
    struct handed *handed = malloc(sizeof(*handed));
    if (!handed || !real)
        abort();
    *handed = (struct handed){function, data, notify, 0};
    __atomic_store_n(&handed->order, 1, __ATOMIC_RELEASE);
    real(context, priority, run, handed, drop);
}
