/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `sessions --advice`: what each initiator agreed to, and what is known of its kind about how long it waits
 * for a target that is away. The timers themselves are the host's own and are not negotiated: its
 * software is told by the naming authority in its name, and what it does is that software's default.
 */
#include <inttypes.h>
#include <string.h>

#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/value.h"

struct kind {
    const char *name;
    const char *prefixes[6];
    const char *text;
};

static const struct kind kinds[] = {
    { "Linux",
      { "iqn.1993-08.org.debian:", "iqn.1994-05.com.redhat:", "iqn.1996-04.de.suse:",
        "iqn.2004-10.com.ubuntu:", "iqn.2005-03.org.open-iscsi:", "iqn.2016-04.com.open-iscsi:" },
      "Linux (open-iscsi) notices a silent target after 10 s, waits TIME2WAIT, then tries again "
      "every 3 s.\n"
      "After node.session.timeo.replacement_timeout, 120 s by default, its disks fail all I/O and\n"
      "file systems go read-only. To outlast hours or days: set it to 86400, or -1\n"
      "for ever. A command older than 180 s fails at the first answer other than GOOD unless "
      "max_retries of its disk is -1.\n"
      "Settings: conf/initiator/linux.\n" },
    { "Windows",
      { "iqn.1991-05.com.microsoft:" },
      "Windows holds I/O for MaxRequestHoldTime, 60 s by default, then removes the disk; it tries "
      "to come\n"
      "back every 5 s without end. With MPIO the disk timeouts of MPIO count instead.\n"
      "Settings: conf/initiator/windows.\n" },
    { "ESXi",
      { "iqn.1998-01.com.vmware:" },
      "ESXi declares all paths down after Misc.APDTimeout, 140 s by default: I/O of virtual "
      "machines is\n"
      "still tried again, that of the host itself fails. The guests have disk timeouts of their "
      "own.\n"
      "Settings: conf/initiator/esxi.\n" },
    { "FreeBSD",
      { "iqn.1994-09.org.freebsd:" },
      "FreeBSD holds I/O and tries again without end unless kern.iscsi.fail_on_disconnection is "
      "1.\n"
      "It notices a silent target after 5 s. Settings: conf/initiator/freebsd.\n" },
    { "QEMU",
      { "iqn.2008-11.org.linux-kvm:" },
      "QEMU (libiscsi) asks for a sign of life every 5 s and takes three missing ones for the end; "
      "it tries\n"
      "again without end, after 1 to 30 s. The guest has disk timeouts of its own.\n" },
    { "iPXE",
      { "iqn.2010-04.org.ipxe:" },
      "iPXE tries a command for 15 s, ten times, and then gives up: an operating system that is "
      "still being\n"
      "loaded outlasts some minutes at most.\n" },
};

static const struct kind unknown = { "?",
                                     { NULL },
                                     "Of the kind '?' nothing is known but what was agreed to: it "
                                     "is asked to wait TIME2WAIT before it comes\n"
                                     "back. How long it holds I/O is its own affair.\n" };

static const struct kind *kind_of(const char *initiator)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        for (unsigned j = 0; j < G_N_ELEMENTS(kinds[i].prefixes) && kinds[i].prefixes[j]; j++)
            if (g_str_has_prefix(initiator, kinds[i].prefixes[j]))
                return &kinds[i];
    return &unknown;
}

static char *disk_of(JsonObject *session)
{
    return g_strdup_printf("%s %s", value_text(session, "initiator"),
                           value_text(session, "target"));
}

/* How many sessions each initiator has with each target: its paths. */
static GHashTable *count_paths(JsonArray *sessions)
{
    GHashTable *paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < value_count(sessions); i++) {
        char *disk = disk_of(value_item(sessions, i));
        unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(paths, disk));
        g_hash_table_insert(paths, disk, GUINT_TO_POINTER(n + 1));
    }
    return paths;
}

static void advice_row(struct table *t, JsonObject *s, GHashTable *paths, const struct kind *kind)
{
    JsonArray *connections = value_array(s, "connections");
    JsonObject *first = value_count(connections) ? value_item(connections, 0) : NULL;
    JsonObject *agreed = value_object(s, "parameters");
    g_autofree char *disk = disk_of(s);
    table_print(t, "%" PRIu64, value_number(s, "id"));
    table_text(t, value_text(s, "initiator"));
    table_text(t, value_text(s, "target"));
    table_text(t, kind->name);
    table_print(t, "%" PRIu64 " s", value_number(agreed, "time2wait"));
    table_print(t, "%" PRIu64, value_number(s, "window"));
    table_print(t, "%s/%s", value_text(first, "header-digest"), value_text(first, "data-digest"));
    table_print(t, "%u", GPOINTER_TO_UINT(g_hash_table_lookup(paths, disk)));
}

static void put_texts(GHashTable *seen, GString *out)
{
    for (unsigned i = 0; i <= G_N_ELEMENTS(kinds); i++) {
        const struct kind *kind = i < G_N_ELEMENTS(kinds) ? &kinds[i] : &unknown;
        if (g_hash_table_contains(seen, kind))
            g_string_append_printf(out, "\n%s", kind->text);
    }
    if (g_hash_table_size(seen))
        g_string_append(
            out, "\nAn initiator with one path has nowhere to go while it waits; with several, "
                 "multipath decides how\nlong: queue_if_no_path (Linux) waits for ever.\n");
}

void show_advice(JsonNode *result, GString *out)
{
    static const char *const headings[] = { ">ID",     "INITIATOR", "TARGET", "KIND", ">TIME2WAIT",
                                            ">WINDOW", "DIGESTS",   ">PATHS", NULL };
    JsonArray *sessions = JSON_NODE_HOLDS_ARRAY(result) ? json_node_get_array(result) : NULL;
    struct table *t = table_new(headings);
    g_autoptr(GHashTable) paths = count_paths(sessions);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (unsigned i = 0; i < value_count(sessions); i++) {
        JsonObject *s = value_item(sessions, i);
        const struct kind *kind = kind_of(value_text(s, "initiator"));
        if (g_str_equal(value_text(s, "type"), "discovery"))
            continue;
        g_hash_table_add(seen, (void *)kind);
        advice_row(t, s, paths, kind);
    }
    table_write(t, out, 0, 0);
    table_free(t);
    put_texts(seen, out);
}
