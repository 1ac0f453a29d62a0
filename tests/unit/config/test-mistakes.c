/* SPDX-License-Identifier: BSD-3-Clause */
/* Bad files: the exact messages, all of them, in the order of the file. */
#include <errno.h>
#include <string.h>

#include "config/model.h"
#include "expect.h"

#define PORTALS "portals: { san: { listen: 10.0.0.1 } }\n"
#define TARGET  "iqn.2026-11.org.example:t"

struct mistake {
    const char *name;
    const char *text;
    const char *expected;
};

static const struct mistake mistakes[] = {
    { "top",
      "deamon:\n"
      "portal: 1\n"
      "targets: []\n",
      "f:1:1: unknown key 'deamon' (did you mean 'daemon'?)\n"
      "f:1:1: the key 'version' is missing (version: 1)\n"
      "f:2:1: unknown key 'portal' (did you mean 'portals'?)\n"
      "f:3:10: targets: must be a mapping, not a list\n" },
    { "root-is-a-list", "- a\n", "f:1:1: the file: must be a mapping, not a list\n" },
    { "views",
      "version: 1\n" PORTALS "targets:\n"
      "  " TARGET ":\n"
      "    initiators: [192.0.2.0/24, 192.0.2.0/33, node7/8]\n"
      "    views:\n"
      "      a b: { initiators: x, luns: { 0: 1 } }\n"
      "      one: { initiators: 10.0.0.0/8, luns: { 0: 1, 2: 7, 00: 4, 3: 1, x: 1 } }\n"
      "      two: { luns: { 0: 1 } }\n"
      "    luns: { 1: { handler: ram }, 4: { handler: ram } }\n",
      "f:5:32: initiators: '192.0.2.0/33' is no network (192.0.2.0/24, 2001:db8::/32) and no "
      "pattern "
      "of names\n"
      "f:5:46: initiators: 'node7/8' is no network (192.0.2.0/24, 2001:db8::/32) and no pattern of "
      "names\n"
      "f:7:7: view 'a b': a name has 1 to 63 letters, digits, dots, - and _\n"
      "f:8:55: luns: the target has no LUN 7\n"
      "f:8:58: number 0 stands at line 8 column 46 already\n"
      "f:8:68: LUN 1 stands at line 8 column 46 already\n"
      "f:8:71: LUN: 'x' is not a whole number\n"
      "f:9:12: view two: the key 'initiators' is missing\n" },
    { "version", "version: 2\n",
      "f:1:10: version: 2 is not known; this program reads version 1\n" },
    { "version-is-no-number", "version: one\n", "f:1:10: version: 'one' is not a whole number\n" },
    { "daemon",
      "version: 1\n"
      "daemon:\n"
      "  reactors: 65\n"
      "  busy-poll: 2ms\n"
      "  state-directory: var/lib\n"
      "  control-socket: [a]\n"
      "  plugin-path: [/a, b, { c: 1 }]\n"
      "  user:\n"
      "  log-level: inof\n"
      "  login-timeout: 100ms\n"
      "  max-connections: 0\n"
      "  buffer-memory: 8M\n"
      "  nop-interval: 10ms\n"
      "  nop-timeout: 0\n"
      "  reactor: 1\n",
      "f:3:13: reactors: '65' is out of range (1 to 64)\n"
      "f:4:14: busy-poll: '2ms' is out of range (0 to 1ms)\n"
      "f:5:20: state-directory: 'var/lib' is not an absolute path (it must begin with /)\n"
      "f:6:19: control-socket: must be a value, not a list\n"
      "f:7:21: plugin-path: 'b' is not an absolute path (it must begin with /)\n"
      "f:7:24: plugin-path: must be a value, not a mapping\n"
      "f:8:8: user: must have a value\n"
      "f:9:14: log-level: 'inof' is not one of error, warning, notice, info, debug (did you mean "
      "'info'?)\n"
      "f:10:18: login-timeout: '100ms' is out of range (1s to 10m)\n"
      "f:11:20: max-connections: '0' is out of range (1 to 65536)\n"
      "f:12:18: buffer-memory: '8M' is out of range (16M to 64G)\n"
      "f:13:17: nop-interval: must be 0 (off) or at least 1s\n"
      "f:14:16: nop-timeout: '0' is out of range (1s to 1h)\n"
      "f:15:3: unknown key 'reactor' (did you mean 'reactors'?)\n" },
    { "metrics-for-the-world",
      "version: 1\ndaemon: { metrics-listen: \"0.0.0.0:9464\" }\ntargets: {}\n" PORTALS,
      "f:2:27: metrics-listen: '0.0.0.0:9464' is not a loopback address with a port "
      "(127.0.0.1:9464, "
      "[::1]:9464)\n" },
    { "metrics-without-a-port",
      "version: 1\ndaemon: { metrics-listen: \"127.0.0.1\" }\ntargets: {}\n" PORTALS,
      "f:2:27: metrics-listen: '127.0.0.1' is not a loopback address with a port (127.0.0.1:9464, "
      "[::1]:9464)\n" },
    { "metrics-at-a-name",
      "version: 1\ndaemon: { metrics-listen: \"localhost:9464\" }\ntargets: {}\n" PORTALS,
      "f:2:27: metrics-listen: 'localhost:9464' is not a loopback address with a port "
      "(127.0.0.1:9464, "
      "[::1]:9464)\n" },
    { "control-socket-is-too-long",
      "version: 1\n"
      "daemon: { control-socket: "
      "/0123456789012345678901234567890123456789012345678901234567890123456"
      "7890123456789012345678901234567890123456789 }\n",
      "f:2:27: control-socket: is longer than 107 bytes\n" },
    { "portals",
      "version: 1\n"
      "portals:\n"
      "  a: { listen: [], tag: 0 }\n"
      "  b: { tag: 65536 }\n"
      "  \"c d\": { listen: [1.2.3, \"localhost:3260\", \"[::1\"] }\n"
      "  d: [10.0.0.1]\n"
      "  e: { listen: 10.0.0.1, tags: 1 }\n"
      "  f: { listen: 10.0.0.2, access-state: active }\n",
      "f:3:16: listen: must not be an empty list\n"
      "f:3:25: tag: '0' is out of range (1 to 65535)\n"
      "f:4:6: b: the key 'listen' is missing\n"
      "f:4:13: tag: '65536' is out of range (1 to 65535)\n"
      "f:5:3: 'c d' is no name (letters, digits, '-', '_' and '.', at most 63)\n"
      "f:5:21: listen: '1.2.3' is not an address (192.0.2.1:3260, [2001:db8::1]:3260)\n"
      "f:5:28: listen: 'localhost:3260' is not an address (192.0.2.1:3260, [2001:db8::1]:3260)\n"
      "f:5:46: listen: '[::1' is not an address (192.0.2.1:3260, [2001:db8::1]:3260)\n"
      "f:6:6: d: must be a mapping, not a list\n"
      "f:7:26: unknown key 'tags' (did you mean 'tag'?)\n"
      "f:8:40: access-state: 'active' is not one of active-optimized, active-non-optimized, "
      "standby, unavailable\n" },
    { "one-address-twice",
      "version: 1\n"
      "portals:\n"
      "  a: { listen: [10.0.0.1, \"10.0.0.1:3260\", \"10.0.0.1:3261\"] }\n"
      "  b: { listen: [\"[2001:db8::1]\", \"[2001:0db8:0::1]:3260\"] }\n",
      "f:3:27: listen: '10.0.0.1:3260' is listened on already at line 3 column 17\n"
      "f:4:34: listen: '[2001:0db8:0::1]:3260' is listened on already at line 4 column 17\n" },
    { "an-address-and-all",
      "version: 1\n"
      "portals:\n"
      "  a: { listen: [10.0.0.1, \"[::1]:3260\", \"10.0.0.1:99\"] }\n"
      "  b: { listen: [0.0.0.0, \"[::]\"] }\n",
      "f:3:17: listen: '10.0.0.1' is part of '0.0.0.0' at line 4 column 17\n"
      "f:3:27: listen: '[::1]:3260' is part of '[::]' at line 4 column 26\n" },
    { "plugins",
      "version: 1\n"
      "fence: { plugin: ../../etc/x, options: [] }\n"
      "auth:\n"
      "  none: { plugin: chap }\n"
      "  a: { options: { secret: hunter2 } }\n"
      "  b: chap\n"
      "  c: { plugin: [chap], option: {} }\n",
      "f:2:18: plugin: must be a name of letters, digits, '-' and '_' (at most 63)\n"
      "f:2:40: options: must be a mapping, not a list\n"
      "f:4:3: 'none' means no authentication and cannot be defined\n"
      "f:5:6: a: the key 'plugin' is missing\n"
      "f:6:6: b: must be a mapping, not a value\n"
      "f:7:16: plugin: must be a value, not a list\n"
      "f:7:24: unknown key 'option' (did you mean 'options'?)\n" },
    { "fence-without-plugin", "version: 1\nfence: {}\n",
      "f:2:8: fence: the key 'plugin' is missing\n" },
    { "references",
      "version: 1\n" PORTALS "auth: { lab: { plugin: chap } }\n"
      "targets:\n"
      "  " TARGET "1: { portals: [sam, san, san], auth: lap }\n"
      "  " TARGET "2: { portals: [], auth: }\n"
      "  " TARGET "3: { portals: xyz, auth: other }\n",
      "f:5:43: portals: there is no portal 'sam' (did you mean 'san'?)\n"
      "f:5:53: portals: 'san' stands here twice\n"
      "f:5:65: auth: there is no auth 'lap' (did you mean 'lab'?)\n"
      "f:6:42: portals: must not be an empty list\n"
      "f:6:52: auth: must have a value\n"
      "f:7:42: portals: there is no portal 'xyz'\n"
      "f:7:53: auth: there is no auth 'other'\n" },
    { "no-portals", "version: 1\ntargets:\n  " TARGET ": {}\n",
      "f:3:3: target 'iqn.2026-11.org.example:t' cannot be reached: there are no portals\n" },
    { "target-names",
      "version: 1\n" PORTALS "targets:\n"
      "  disk1: {}\n"
      "  iqn.2026-13.org.example:x: {}\n"
      "  " TARGET ": {}\n"
      "  IQN.2026-11.ORG.EXAMPLE:T: {}\n"
      "  eui.123: 7\n",
      "f:4:3: target name 'disk1': must begin with iqn., eui. or naa.\n"
      "f:5:3: target name 'iqn.2026-13.org.example:x': the month of an iqn. name must be 01 to 12\n"
      "f:7:3: 'IQN.2026-11.ORG.EXAMPLE:T' is the same target as at line 6 column 3\n"
      "f:8:3: target name 'eui.123': eui. must be followed by 16 or 32 hexadecimal digits\n"
      "f:8:12: target: must be a mapping, not a value\n" },
    { "session",
      "version: 1\n" PORTALS "targets:\n"
      "  " TARGET ":\n"
      "    session:\n"
      "      max-connections: 9\n"
      "      first-burst-length: 511\n"
      "      max-burst-length: 16M\n"
      "      max-recv-data-segment-length: big\n"
      "      max-outstanding-r2t: 65\n"
      "      initial-r2t: maybe\n"
      "      immediate-data: 1\n"
      "      header-digest: [none, crc32]\n"
      "      data-digest: []\n"
      "      default-time2wait: 1500ms\n"
      "      default-time2retain: 2h\n"
      "      command-window: 0\n"
      "      nop-interval: 15\n"
      "      nop-timeout: 1x\n"
      "      max-outstanding-r2ts: 1\n",
      "f:6:24: max-connections: '9' is out of range (1 to 8)\n"
      "f:7:27: first-burst-length: '511' is out of range (512 to 16777215)\n"
      "f:8:25: max-burst-length: '16M' is out of range (512 to 16777215)\n"
      "f:9:37: max-recv-data-segment-length: 'big' is not a size (such as 4096, 64K, 512M or 20G)\n"
      "f:10:28: max-outstanding-r2t: '65' is out of range (1 to 64)\n"
      "f:11:20: initial-r2t: 'maybe' is neither yes nor no\n"
      "f:12:23: immediate-data: '1' is neither yes nor no\n"
      "f:13:29: header-digest: 'crc32' is not one of none, crc32c (did you mean 'crc32c'?)\n"
      "f:14:20: data-digest: must not be an empty list\n"
      "f:15:26: default-time2wait: must be whole seconds\n"
      "f:16:28: default-time2retain: '2h' is out of range (0 to 1h)\n"
      "f:17:23: command-window: '0' is out of range (1 to 1024)\n"
      "f:18:21: nop-interval: '15' is not a duration (such as 50us, 20ms, 15s, 5m or 1h)\n"
      "f:19:20: nop-timeout: '1x' is not a duration (such as 50us, 20ms, 15s, 5m or 1h)\n"
      "f:20:7: unknown key 'max-outstanding-r2ts' (did you mean 'max-outstanding-r2t'?)\n" },
    { "bursts",
      "version: 1\n" PORTALS "targets:\n"
      "  " TARGET "1: { session: { first-burst-length: 2M } }\n"
      "  " TARGET "2: { session: { max-burst-length: 64K } }\n",
      "f:4:64: first-burst-length (2M) must not be larger than max-burst-length (1M)\n"
      "f:5:62: first-burst-length (256K) must not be larger than max-burst-length (64K)\n" },
    { "lun-numbers",
      "version: 1\n" PORTALS "targets:\n"
      "  " TARGET ":\n"
      "    luns:\n"
      "      0: { handler: ram }\n"
      "      16384: { handler: ram }\n"
      "      one: { handler: ram }\n"
      "      -1: { handler: ram }\n"
      "      00: { handler: ram }\n"
      "      0: { handler: ram }\n",
      "f:7:7: LUN: '16384' is out of range (0 to 16383)\n"
      "f:8:7: LUN: 'one' is not a whole number\n"
      "f:9:7: LUN: '-1' is not a whole number\n"
      "f:10:7: '00' is the same LUN as '0' at line 6 column 7\n"
      "f:11:7: '0' stands here twice, first at line 6 column 7\n" },
    { "luns",
      "version: 1\n" PORTALS "targets:\n"
      "  " TARGET ":\n"
      "    luns:\n"
      "      0: { options: { secret: hunter2 }, redonly: no }\n"
      "      1:\n"
      "      2: { handler: a/b, options: 5, serial: \"caf\xc3\xa9\", naa: 1001405000000001 }\n"
      "      3: { handler: x, naa: 12, eui: 12, vendor: ABCDEFGHI, product: ABCDEFGHIJKLMNOPQ }\n"
      "      4: { handler: x, revision: 1.234, read-only: nope, block-size: 1024, rotational: 7 }\n"
      "      5: { handler: x, initiators: [], serial: \"\" }\n"
      "      6: { handler: x, naa: 50014050000000010000000000000000 }\n"
      "      7: { handler: x, physical-block-size: 1K, max-compare-and-write: 0, removable: 2 }\n"
      "      8: { handler: x, deadline: 10ms, when-late: never }\n"
      "      9: { handler: x, thresholds: { used: [0%, 101%, 80, 5%, 5%], left: 1G } }\n"
      "      10: { handler: x, thresholds: { available: [512K, 1M, 2M, 3M, 4M, 5M] } }\n"
      "      11: { handler: x, thresholds: 80% }\n",
      "f:6:10: LUN 0: the key 'handler' is missing\n"
      "f:6:42: unknown key 'redonly' (did you mean 'read-only'?)\n"
      "f:7:9: LUN 1: the key 'handler' is missing\n"
      "f:8:21: handler: must be a name of letters, digits, '-' and '_' (at most 63)\n"
      "f:8:35: options: must be a mapping, not a value\n"
      "f:8:46: serial: must be printable ASCII\n"
      "f:8:59: naa: must be 16 hexadecimal digits beginning with 2, 3 or 5, or 32 beginning with "
      "6\n"
      "f:9:29: naa: must be 16 hexadecimal digits beginning with 2, 3 or 5, or 32 beginning with "
      "6\n"
      "f:9:38: eui: must be 16, 24 or 32 hexadecimal digits\n"
      "f:9:50: vendor: is longer than 8 bytes\n"
      "f:9:70: product: is longer than 16 bytes\n"
      "f:10:34: revision: is longer than 4 bytes\n"
      "f:10:52: read-only: 'nope' is neither yes nor no\n"
      "f:10:70: block-size: '1024' is not one of auto, 512, 4096\n"
      "f:10:88: rotational: '7' is neither yes nor no\n"
      "f:11:36: initiators: must not be an empty list\n"
      "f:11:48: serial: must have a value\n"
      "f:12:29: naa: must be 16 hexadecimal digits beginning with 2, 3 or 5, or 32 beginning with "
      "6\n"
      "f:13:45: physical-block-size: '1K' is not one of auto, 512, 4096, 8192, 16384, 65536\n"
      "f:13:72: max-compare-and-write: '0' is out of range (1 to 255)\n"
      "f:13:86: removable: '2' is neither yes nor no\n"
      "f:14:34: deadline: '10ms' is out of range (100ms to 1h)\n"
      "f:14:51: when-late: 'never' is not one of stall, busy, fail\n"
      "f:15:45: used: '0%' is not a share of the disk from 1% to 100%\n"
      "f:15:49: used: '101%' is not a share of the disk from 1% to 100%\n"
      "f:15:55: used: '80' is not a share of the disk from 1% to 100%\n"
      "f:15:63: used: 5% is there twice\n"
      "f:15:68: unknown key 'left'\n"
      "f:16:51: available: '512K' is not a size from 1M to 4096T\n"
      "f:16:73: available: more than 4 thresholds\n"
      "f:17:37: thresholds: must be a mapping, not a value\n" },
    { "syntax-is-alone", "version: 2\ndaemon: { reactors: 99\n",
      "f:3:1: did not find expected ',' or '}' while parsing a flow mapping\n" },
};

static void check(gconstpointer data)
{
    const struct mistake *m = data;
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    int r = config_parse(m->text, strlen(m->text), "f", &config, problems);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==, m->expected);
    g_assert_cmpint(r, ==, -EINVAL);
    g_assert_null(config);
    g_assert_null(strstr(found, "hunter2"));
}

/* One more than there may be, of what a target has many of. */
static void too_many(void)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    g_autoptr(GString) text = g_string_new("version: 1\nportals:\n");
    for (unsigned i = 1; i <= CONFIG_TAGS_MAX + 1; i++)
        g_string_append_printf(text, "  p%u: { listen: 127.0.0.1:%u, tag: %u }\n", i, i, i);
    g_string_append(text, "targets:\n  iqn.2026-11.org.example:a:\n    luns:\n");
    for (unsigned i = 0; i <= CONFIG_LUNS_MAX; i++)
        g_string_append_printf(text, "      %u: { handler: ram }\n", 2 * i);
    g_assert_cmpint(config_parse(text->str, text->len, "f", &config, problems), ==, -EINVAL);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==,
                    "f:68:3: target 'iqn.2026-11.org.example:a': its portals have 64 different "
                    "tags, at most 63 can be\n"
                    "f:326:7: target 'iqn.2026-11.org.example:a': has 257 LUNs, at most 256 can "
                    "be\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/mistakes/too-many", too_many);
    for (unsigned i = 0; i < G_N_ELEMENTS(mistakes); i++) {
        g_autofree char *path = g_strconcat("/config/mistakes/", mistakes[i].name, NULL);
        g_test_add_data_func(path, &mistakes[i], check);
    }
    return g_test_run();
}
