/* SPDX-License-Identifier: BSD-3-Clause */
/* The host table: see host.h. Log lines carry the plugin's name as their domain. */
#include "plugin/host.h"

#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "plugin/loader.h"

__attribute__((format(printf, 3, 4))) static void host_log(const struct hf_host *host,
                                                           uint32_t level, const char *format, ...)
{
    const struct plugin *plugin = container_of((struct hf_host *)host, struct plugin, host);
    char text[PLUGIN_ERROR_TEXT];
    va_list args;
    if (level < HF_LOG_ERROR)
        level = HF_LOG_ERROR;
    if (level > HF_LOG_DEBUG)
        level = HF_LOG_DEBUG;
    if ((enum log_level)level > log_get_level())
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_write((enum log_level)level, plugin->info.name, "%s", text);
}

__attribute__((format(printf, 3, 4))) static int32_t host_fail(struct hf_error *error, int32_t code,
                                                               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = plugin_fail_v(error, code, format, args);
    va_end(args);
    return r;
}

void plugin_host_init(struct hf_host *host)
{
    *host = (struct hf_host){
        .size = sizeof(*host),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .log = host_log,
        .fail = host_fail,
        .complete = queue_host_complete,
        .complete_remote = queue_host_complete_remote,
        .ring_read = ring_host_read,
        .ring_write = ring_host_write,
        .ring_fsync = ring_host_fsync,
        .ring_fallocate = ring_host_fallocate,
        .ring_cancel = ring_host_cancel,
        .lu_changed = storage_host_lu_changed,
        .memfd_get = storage_host_memfd_get,
        .state_put = storage_host_state_put,
        .state_get = storage_host_state_get,
        .auth_resume = auth_host_resume,
        .timer_start = timer_host_start,
        .timer_stop = timer_host_stop,
        .lower_open = lower_host_open,
        .lower_submit = lower_host_submit,
        .lower_cancel = lower_host_cancel,
        .lower_space = lower_host_space,
    };
}
