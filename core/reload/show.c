/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan in words, and who is touched by its steps. */
#include "reload/plan.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/initiators.h"

const char *plan_class_name(enum plan_class class)
{
    static const char *const names[] = {
        [PLAN_LIVE] = "live",       [PLAN_LOGIN] = "next-login", [PLAN_NOTICE] = "notice",
        [PLAN_REOPEN] = "reopen",   [PLAN_END] = "end",          [PLAN_HANDOVER] = "hand-over",
        [PLAN_RESTART] = "restart",
    };
    return names[class];
}

const char *plan_kind_name(enum plan_kind kind)
{
    static const char *const names[] = {
        [PLAN_ADD] = "add", [PLAN_CHANGE] = "change", [PLAN_REMOVE] = "remove"
    };
    return names[kind];
}

const char *plan_object_name(enum plan_object object)
{
    static const char *const names[] = {
        [PLAN_DAEMON] = "daemon", [PLAN_PORTAL] = "portal", [PLAN_FENCE] = "fence",
        [PLAN_AUTH] = "auth",     [PLAN_TARGET] = "target", [PLAN_LUN] = "lun",
    };
    return names[object];
}

char *plan_step_name(const struct plan_step *s)
{
    const struct config_target *t = s->new_target ? s->new_target : s->old_target;
    switch (s->object) {
    case PLAN_PORTAL:
        return g_strdup((s->new_portal ? s->new_portal : s->old_portal)->name);
    case PLAN_AUTH:
        return g_strdup((s->new_auth ? s->new_auth : s->old_auth)->name);
    case PLAN_TARGET:
        return g_strdup(t->name);
    case PLAN_LUN:
        return g_strdup_printf("%s/%u", t->name, (s->new_lun ? s->new_lun : s->old_lun)->number);
    default:
        return g_strdup("");
    }
}

static const char *lun_notice(const struct plan_step *s)
{
    if (s->kind == PLAN_ADD)
        return "REPORTED LUNS DATA HAS CHANGED";
    if (s->kind == PLAN_REMOVE)
        return "REPORTED LUNS DATA HAS CHANGED; the disk is gone";
    if (s->lun_change & PLAN_LUN_IDENTITY)
        return "REPORTED LUNS DATA HAS CHANGED; another disk is in its place";
    if (s->lun_change & PLAN_LUN_REPLACE)
        return s->lun_change & PLAN_LUN_SIZE ? "held for a moment, then CAPACITY DATA HAS CHANGED"
               : s->lun_change & PLAN_LUN_MOVE
                   ? "held for a moment; told where size or features differ"
                   : "held for a moment, then INQUIRY DATA HAS CHANGED where it differs";
    if (s->lun_change & PLAN_LUN_MASK)
        return s->lun_change & PLAN_LUN_SIZE
                   ? "CAPACITY DATA HAS CHANGED; REPORTED LUNS DATA HAS CHANGED where it comes or "
                     "goes"
                   : "REPORTED LUNS DATA HAS CHANGED where it comes or goes";
    return s->lun_change & PLAN_LUN_SIZE ? "CAPACITY DATA HAS CHANGED" : "nothing";
}

const char *plan_step_notice(const struct plan_step *s)
{
    switch (s->class) {
    case PLAN_LIVE:
        return "nothing";
    case PLAN_LOGIN:
        return "nothing before the next login";
    case PLAN_HANDOVER:
        return "a pause of some milliseconds";
    case PLAN_RESTART:
        return "needs a stop and a start";
    default:
        break;
    }
    if (s->object == PLAN_LUN)
        return lun_notice(s);
    if (s->object == PLAN_PORTAL)
        return "ASYMMETRIC ACCESS STATE CHANGED";
    if (s->object == PLAN_TARGET && s->class == PLAN_NOTICE)
        return "REPORTED LUNS DATA HAS CHANGED where numbers change";
    if (s->class == PLAN_NOTICE)
        return "REPORTED LUNS DATA HAS CHANGED where a disk has another number, comes or goes";
    return "its sessions end";
}

static bool is_address(const char *pattern)
{
    g_autofree char *address = g_strndup(pattern, strcspn(pattern, "/"));
    struct in6_addr any;
    return inet_pton(AF_INET, address, &any) == 1 || inet_pton(AF_INET6, address, &any) == 1;
}

/* From where an initiator comes may not be known: then an address in a list may be its. */
static bool admits(const struct config_lun *l, const char *initiator, const char *peer)
{
    if (!l || !l->initiators || initiators_match(l->initiators, initiator, peer))
        return l != NULL;
    for (const char *const *p = l->initiators; !peer && *p; p++)
        if (is_address(*p))
            return true;
    return false;
}

bool plan_step_touches(const struct plan_step *s, const char *target, const char *initiator,
                       const char *peer)
{
    const struct config_target *t = s->old_target;
    if (s->class < PLAN_NOTICE || s->class > PLAN_END)
        return s->class == PLAN_HANDOVER;
    if (s->object == PLAN_PORTAL)
        return true;
    if (!t || strcmp(t->name, target) != 0)
        return false;
    if (s->object == PLAN_TARGET)
        return true;
    bool before = admits(s->old_lun, initiator, peer), after = admits(s->new_lun, initiator, peer);
    bool mask_only = s->kind == PLAN_CHANGE && s->lun_change == PLAN_LUN_MASK;
    return mask_only ? before != after : before || after;
}

void plan_format(const struct plan *plan, GString *out)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const struct plan_step *s = &plan->steps[i];
        g_autofree char *name = plan_step_name(s);
        g_string_append_printf(out, "%s %s%s%s", plan_kind_name(s->kind),
                               plan_object_name(s->object), *name ? " " : "", name);
        if (s->keys)
            g_string_append_printf(out, " [%s]", s->keys);
        g_string_append_printf(out, " class=%s%s notice=\"%s\"", plan_class_name(s->class),
                               s->lun_change & PLAN_LUN_SHRINK ? " shrinks" : "",
                               plan_step_notice(s));
        if (s->at)
            g_string_append_printf(out, " at=%s:%u:%u", config_node_file(s->at), config_node_line(s->at), s->at->column);
        g_string_append_c(out, '\n');
    }
}
