/* SPDX-License-Identifier: BSD-3-Clause */
/* libnftables: commands as text, one call one transaction, answers in buffers of the library. */
#include "nftables.h"

#include <errno.h>
#include <string.h>

/* "Error: Could not process rule: Operation not permitted", of lines that also quote the command. */
static int command_failed(const char *words, struct hf_error *error)
{
    static const struct {
        const char *words;
        int code;
    } known[] = { { "not permitted", EPERM }, { "No such file", ENOENT } };
    int code = EIO;

    if (!words || words[0] == '\0')
        words = "libnftables does not say why";
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(words, known[i].words))
            code = known[i].code;
    return nftables_host->fail(error, code, "nftables: %.*s", (int)strcspn(words, "\n"), words);
}

int command_run(struct fence *f, const char *text, const char **ret_output, struct hf_error *error)
{
    if (nft_run_cmd_from_buffer(f->nft, text) != 0)
        return command_failed(nft_ctx_get_error_buffer(f->nft), error);
    const char *output = nft_ctx_get_output_buffer(f->nft);
    if (ret_output)
        *ret_output = output ? output : "";
    return 0;
}
