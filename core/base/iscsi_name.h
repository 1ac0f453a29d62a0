/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of iSCSI nodes (RFC 7143 4.2.7): "iqn.yyyy-mm.reversed.domain[:anything]", "eui." with 16
 * (or 32) hexadecimal digits, "naa." with 16 or 32. A name is at most 223 bytes of UTF-8; two names
 * are the same node when their normalised forms are equal byte for byte.
 *
 * Normalising lower-cases ASCII and refuses what the stringprep profile (RFC 3722) prohibits in
 * ASCII; characters beyond ASCII must be valid UTF-8, are lower-cased and composed (NFKC).
 */
#pragma once

#define ISCSI_NAME_MAX 223

/*
 * 0 and the normalised name in `out`, or -EINVAL with a reason that lives for ever in *ret_problem
 * ("must begin with iqn., eui. or naa."). `out` is untouched on failure. Any thread.
 */
int iscsi_name_normalise(const char *in, char out[ISCSI_NAME_MAX + 1], const char **ret_problem);
