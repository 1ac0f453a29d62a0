/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of the load generator. */
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
    .host = "127.0.0.1",
    .port = "3260",
    .initiator = "iqn.2026-11.org.example:load",
    .depth = 32,
    .block = 4096,
    .read_percent = 100,
    .connections = 1,
    .seconds = 5,
    .warmup = 1,
    .immediate_data = true,
    .receive_segment = 262144,
    .first_burst = 262144,
    .max_burst = 1048576,
    .seed = 1,
};

static const char usage[] =
    "usage: load [OPTIONS] --target IQN\n"
    "  --address HOST[:PORT]   where the target listens (127.0.0.1:3260; [::1]:3260)\n"
    "  --target IQN --lun N    what to use (LUN 0)\n"
    "  --initiator IQN         name; a number is added for every connection\n"
    "  --connections N         each its own session (1)\n"
    "  --depth N               commands in flight on each (32)\n"
    "  --block BYTES           bytes a command, K and M known (4K)\n"
    "  --read PERCENT          share of reads (100)\n"
    "  --sequential            instead of random\n"
    "  --range BYTES           use this much of the LUN (all)\n"
    "  --seconds N --warm-up N how long (5 and 1)\n"
    "  --one-send              send every command on its own\n"
    "  --rate N                commands a second on all connections, one after the other (as many as it takes)\n"
    "  --poll                  look for answers without sleeping\n"
    "  --header-digest --data-digest\n"
    "  --initial-r2t --no-immediate-data\n"
    "  --receive-segment BYTES --first-burst BYTES --max-burst BYTES\n"
    "  --verify                write patterns, check every read, read all again at the end\n"
    "  --fill                  write everything once and end\n"
    "  --seed N                of the random numbers (1)\n"
    "  --cpu-of PID[,PID]      also print the CPU time these processes used a command\n"
    "  --storm N --hold N      N logins at once, held that many seconds\n"
    "  --chap NAME:SECRET      log in with CHAP\n"
    "  --addresses N           connect from 127.0.1.1 to 127.0.1.N in turn\n"
    "  --silent N --drip N     during a storm also N sockets that say nothing, or a byte a second\n"
    "  --come-back             log in again whenever a connection goes, verify, until SIGTERM\n";

static __attribute__((noreturn)) void bad(const char *what)
{
    fprintf(stderr, "load: %s\n%s", what, usage);
    exit(2);
}

static uint64_t size(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    unsigned shift = 0;

    if (*end == 'K')
        shift = 10;
    else if (*end == 'M')
        shift = 20;
    else if (*end == 'G')
        shift = 30;
    if (end == text || (shift && end[1]) || (!shift && *end) || n > (most >> shift) ||
        n << shift < least)
        bad(text);
    return n << shift;
}

static double seconds(const char *text)
{
    char *end;
    double n = strtod(text, &end);

    if (end == text || *end || n < 0 || n > 1e6)
        bad(text);
    return n;
}

static void address(char *text)
{
    char *colon = strrchr(text, ':');

    if (*text == '[') {
        char *close = strchr(text, ']');

        if (!close)
            bad(text);
        *close = '\0';
        opt.host = text + 1;
        if (close[1] == ':')
            opt.port = close + 2;
    } else {
        opt.host = text;
        if (colon) {
            *colon = '\0';
            opt.port = colon + 1;
        }
    }
}

enum {
    O_ADDRESS = 256, O_TARGET, O_LUN, O_INITIATOR, O_CONNECTIONS, O_DEPTH, O_BLOCK, O_READ,
    O_SEQUENTIAL, O_RANGE, O_SECONDS, O_WARMUP, O_ONE_SEND, O_HDIGEST, O_DDIGEST, O_R2T, O_NO_IMM,
    O_SEGMENT, O_FIRST, O_MAX, O_VERIFY, O_SEED, O_CPU, O_STORM, O_HOLD, O_FILL, O_POLL,
    O_HELP, O_ADDRESSES, O_SILENT, O_DRIP, O_COMEBACK, O_CHAP, O_RATE,
};

static const struct option table[] = {
    { "address", 1, 0, O_ADDRESS },       { "target", 1, 0, O_TARGET },
    { "lun", 1, 0, O_LUN },               { "initiator", 1, 0, O_INITIATOR },
    { "connections", 1, 0, O_CONNECTIONS }, { "depth", 1, 0, O_DEPTH },
    { "block", 1, 0, O_BLOCK },           { "read", 1, 0, O_READ },
    { "sequential", 0, 0, O_SEQUENTIAL }, { "range", 1, 0, O_RANGE },
    { "seconds", 1, 0, O_SECONDS },       { "warm-up", 1, 0, O_WARMUP },
    { "one-send", 0, 0, O_ONE_SEND },     { "header-digest", 0, 0, O_HDIGEST },
    { "data-digest", 0, 0, O_DDIGEST },   { "initial-r2t", 0, 0, O_R2T },
    { "no-immediate-data", 0, 0, O_NO_IMM }, { "receive-segment", 1, 0, O_SEGMENT },
    { "first-burst", 1, 0, O_FIRST },     { "max-burst", 1, 0, O_MAX },
    { "verify", 0, 0, O_VERIFY },         { "seed", 1, 0, O_SEED },
    { "cpu-of", 1, 0, O_CPU },            { "storm", 1, 0, O_STORM },
    { "fill", 0, 0, O_FILL },             { "poll", 0, 0, O_POLL },
    { "hold", 1, 0, O_HOLD },             { "help", 0, 0, O_HELP },
    { "addresses", 1, 0, O_ADDRESSES },   { "silent", 1, 0, O_SILENT },
    { "drip", 1, 0, O_DRIP },             { "come-back", 0, 0, O_COMEBACK },
    { "chap", 1, 0, O_CHAP },             { "rate", 1, 0, O_RATE },
    { 0 },
};

void options_parse(int argc, char **argv)
{
    int o;

    while ((o = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (o) {
        case O_ADDRESS: address(optarg); break;
        case O_TARGET: opt.target = optarg; break;
        case O_LUN: opt.lun = (unsigned)size(optarg, 0, 255); break;
        case O_INITIATOR: opt.initiator = optarg; break;
        case O_CONNECTIONS: opt.connections = (unsigned)size(optarg, 1, 4096); break;
        case O_DEPTH: opt.depth = (unsigned)size(optarg, 1, 4096); break;
        case O_BLOCK: opt.block = (uint32_t)size(optarg, 512, PAYLOAD_BYTES); break;
        case O_READ: opt.read_percent = (unsigned)size(optarg, 0, 100); break;
        case O_SEQUENTIAL: opt.sequential = true; break;
        case O_RANGE: opt.range = size(optarg, 512, 1ull << 62); break;
        case O_SECONDS: opt.seconds = seconds(optarg); break;
        case O_WARMUP: opt.warmup = seconds(optarg); break;
        case O_ONE_SEND: opt.one_send = true; break;
        case O_HDIGEST: opt.header_digest = true; break;
        case O_DDIGEST: opt.data_digest = true; break;
        case O_R2T: opt.initial_r2t = true; break;
        case O_NO_IMM: opt.immediate_data = false; break;
        case O_SEGMENT: opt.receive_segment = (uint32_t)size(optarg, 512, 0xffffff); break;
        case O_FIRST: opt.first_burst = (uint32_t)size(optarg, 512, 0xffffff); break;
        case O_MAX: opt.max_burst = (uint32_t)size(optarg, 512, 0xffffff); break;
        case O_VERIFY: opt.verify = true; break;
        case O_SEED: opt.seed = size(optarg, 0, 1ull << 62); break;
        case O_CPU: opt.cpu_of = optarg; break;
        case O_STORM: opt.storm = (unsigned)size(optarg, 1, 50000); break;
        case O_FILL: opt.fill = true; opt.read_percent = 0; break;
        case O_POLL: opt.poll = true; break;
        case O_HOLD: opt.hold = seconds(optarg); break;
        case O_ADDRESSES: opt.addresses = (unsigned)size(optarg, 0, 250); break;
        case O_SILENT: opt.silent = (unsigned)size(optarg, 0, 50000); break;
        case O_DRIP: opt.drip = (unsigned)size(optarg, 0, 50000); break;
        case O_COMEBACK: opt.comeback = true; break;
        case O_CHAP: opt.chap = optarg; break;
        case O_RATE: opt.rate = (uint32_t)size(optarg, 1, 100000000); break;
        case O_HELP: fputs(usage, stdout); exit(0);
        default: bad("unknown option");
        }
    }
    if (optind < argc)
        bad(argv[optind]);
    if (!opt.target)
        bad("--target is missing");
    if (opt.first_burst > opt.max_burst)
        bad("--first-burst is above --max-burst");
    if (opt.chap && !strchr(opt.chap, ':'))
        bad("--chap wants NAME:SECRET");
    if (opt.block % 512)
        bad("--block must be a multiple of 512");
}
