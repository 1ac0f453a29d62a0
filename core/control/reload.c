/* SPDX-License-Identifier: BSD-3-Clause */
/* `reload`: the configuration file, or what is in place of it, is put into effect. */
#include "base/clock.h"
#include "config/scalar.h"
#include "control/plan.h"

#define DRAIN_MAX_NS (3600 * NS_PER_S)

static void done(void *data, const struct plan *plan, unsigned upgrade, const char *why)
{
    struct call *call = data;
    if (why)
        call_fail(call, RPC_REFUSED, "%s", why);
    else
        plan_put(&call->result, plan, NULL, upgrade);
    call_end(call);
}

int control_reload_how(struct call *call, struct control_reload *ret_how)
{
    const char *text = call_string(call, "drain");
    uint64_t ns = 0;
    if (text && (config_text_duration(text, &ns) < 0 || ns < NS_PER_S || ns > DRAIN_MAX_NS))
        return call_fail(call, RPC_PARAMS, "drain: '%.64s' is not a time from 1s to 1h", text);
    *ret_how = (struct control_reload){ .force = call_flag(call, "force"),
                                        .drain_ms = (uint32_t)(ns / NS_PER_MS),
                                        .fd = -1 };
    return 0;
}

int act_reload(struct call *call)
{
    const struct control_services *s = &call->control->services;
    struct control_reload how;
    if (control_reload_how(call, &how) != 0)
        return call->error;
    call->acting = true;
    s->reload(s->user, &how, done, call);
    return VERB_PENDING;
}
