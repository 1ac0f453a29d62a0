/* SPDX-License-Identifier: BSD-3-Clause */
/* iSCSI TransportIDs; see transport_id.h. */
#include "scsi/transport_id.h"

#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/iscsi_name.h"

#define PROTOCOL_ISCSI 0x05u
#define FORMAT_PORT    0x40u /* a name with ISID */
#define NAME_MIN       20u

unsigned transport_id_write(uint8_t *to, const char *port)
{
    size_t bytes = (strlen(port) + 1 + 3) & ~(size_t)3;

    if (bytes < NAME_MIN)
        bytes = NAME_MIN;
    memset(to, 0, 4 + bytes);
    to[0] = FORMAT_PORT | PROTOCOL_ISCSI;
    put_be16(to + 2, (uint16_t)bytes);
    memcpy(to + 4, port, strlen(port));
    return (unsigned)(4 + bytes);
}

/* The ISID: 1 to 12 hexadecimal digits. */
static bool read_isid(const char *text, uint64_t *ret_isid)
{
    size_t digits = strlen(text);

    if (digits == 0 || digits > 12 || strspn(text, "0123456789abcdefABCDEF") != digits)
        return false;
    *ret_isid = g_ascii_strtoull(text, NULL, 16);
    return true;
}

int transport_id_read(const uint8_t *from, uint32_t bytes, char ret_port[static PR_PORT_MAX])
{
    char text[PR_PORT_MAX], name[ISCSI_NAME_MAX + 1];
    const char *problem;
    uint64_t isid;

    if (bytes < 4 || from[0] != (FORMAT_PORT | PROTOCOL_ISCSI))
        return -1;
    uint32_t length = get_be16(from + 2);
    if (length < NAME_MIN || length % 4 || length > bytes - 4)
        return -1;
    size_t used = strnlen((const char *)from + 4, length);
    if (used == length || used >= sizeof(text))
        return -1;
    memcpy(text, from + 4, used + 1);
    char *separator = strstr(text, ",i,0x");
    if (!separator || !read_isid(separator + 5, &isid))
        return -1;
    *separator = '\0';
    if (iscsi_name_normalise(text, name, &problem) < 0)
        return -1;
    g_snprintf(ret_port, PR_PORT_MAX, "%s,i,0x%012" G_GINT64_MODIFIER "x", name, (guint64)isid);
    return (int)(4 + length);
}
