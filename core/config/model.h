/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: an immutable snapshot of one YAML file, with every default filled in and every
 * reference between its parts resolved. It owns the node tree it was made from; `node` members say
 * where each part stands in the file (NULL: left out) and `options` is the untouched subtree that
 * a plugin's own option table describes (NULL: left out). All strings and arrays belong to it.
 *
 * What is checked here needs neither plugins nor devices: forms, ranges, references, doubles.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/iscsi_name.h"
#include "base/log.h"
#include "config/problem.h"
#include "config/yaml.h"

#define CONFIG_LUN_MAX               16383 /* flat space addressing */
#define CONFIG_LUNS_MAX              256   /* of one target */
#define CONFIG_TAGS_MAX              63    /* of the portals of one target */
#define CONFIG_REACTORS_MAX          64
#define CONFIG_PORTALS_MAX           256
#define CONFIG_LISTEN_MAX            64 /* addresses of one portal */
#define CONFIG_SPARE_CONNECTIONS_MAX 256u

/* A set of digests an initiator may choose from. */
#define CONFIG_DIGEST_NONE   1u
#define CONFIG_DIGEST_CRC32C 2u

struct config_daemon {
    const struct config_node *node;
    unsigned reactors;     /* 0: auto */
    uint64_t busy_poll_ns; /* 0: off */
    const char *state_directory;
    const char *control_socket;
    /* What a reload takes away while it is in use: refused (neither of these), or it ends at once, or when
       its initiators have left it and after this time at the latest. */
    bool drain_force;
    uint64_t drain_ns;
    struct address metrics_listen;  /* loopback, TCP; length 0: none */
    bool metrics_sessions;          /* each session has its own series */
    const char *const *plugin_path; /* ends with NULL; never NULL itself */
    const char *user;               /* NULL: stay who we are */
    const struct config_node *user_node;
    bool spare_worker; /* one waits in reserve for the death of the other */
    bool sandbox; /* the worker's system calls are filtered, and root gives up capabilities */
    enum log_level log_level;
    uint64_t login_timeout_ns;
    unsigned max_connections;             /* over all portals */
    unsigned max_connections_per_address; /* of one initiator's address; 0: no limit */
    unsigned max_logins;                  /* connections that have not logged in yet */
    unsigned login_concurrency;           /* of them, those whose login is worked on at a time */
    unsigned listen_backlog;              /* of each address of each portal */
    uint32_t socket_receive_buffer, socket_send_buffer; /* bytes; 0: as the kernel sees fit */
    uint64_t buffer_memory_bytes;                       /* data buffers of one reactor */
    uint64_t nop_interval_ns; /* 0: no keepalive; of sessions whose target says nothing else */
    uint64_t nop_timeout_ns;
    uint64_t watchdog_ns; /* a worker that does not answer for so long is replaced; 0: never */
};

/* Connections held beyond max_connections: long enough to be told that there is no room. */
static inline unsigned config_spare_connections(const struct config_daemon *daemon)
{
    unsigned quarter = daemon->max_connections / 4;
    return quarter < CONFIG_SPARE_CONNECTIONS_MAX ? quarter : CONFIG_SPARE_CONNECTIONS_MAX;
}

struct config_listen {
    const struct config_node *node;
    struct address address;
};

struct config_portal {
    const struct config_node *node;
    const char *name;
    struct config_listen *listen; /* at least one */
    unsigned listen_count;
    uint16_t tag;          /* target portal group tag, 1..65535 */
    unsigned access_state; /* of paths through it, as SPC-4 table 230 counts: 0..3 */
};

struct config_fence {
    const struct config_node *node; /* NULL: no fence */
    const struct config_node *plugin_node;
    const char *plugin;
    const struct config_node *options;
};

struct config_auth {
    const struct config_node *node;
    const char *name;
    const struct config_node *plugin_node;
    const char *plugin;
    const struct config_node *options;
};

/* Who may look, and has to prove what, in a discovery session. */
struct config_discovery {
    const struct config_node *node; /* NULL: left out */
    const struct config_auth *auth; /* NULL: open */
    const char *const *initiators;  /* base/initiators.h, end with NULL; NULL: anyone */
};

/* An initiator that all of this fits is sent elsewhere (RFC 7143 11.13.5, 0101 and 0102). */
struct config_redirect {
    const struct config_node *node;
    const char *to; /* "host:port" */
    bool permanent;
    const struct config_portal **portals; /* it came through one of them; portal_count 0: any */
    unsigned portal_count;
    const char *const *initiators; /* base/initiators.h, end with NULL; NULL: anyone */
};

/* The target's own side of each negotiation (RFC 7143 13). */
struct config_session {
    const struct config_node *node;
    unsigned max_connections;    /* 1..8 */
    uint32_t first_burst_length; /* bytes; <= max_burst_length */
    uint32_t max_burst_length;
    uint32_t max_recv_data_segment_length; /* what we declare */
    unsigned max_outstanding_r2t;          /* 1..64 */
    bool initial_r2t;
    bool immediate_data;
    unsigned header_digest; /* CONFIG_DIGEST_* */
    unsigned data_digest;
    unsigned default_time2wait; /* seconds */
    unsigned time2wait_spread;  /* added to it, by up to so much: another part for each host */
    unsigned default_time2retain;
    unsigned command_window;      /* commands outstanding in a session */
    bool reject_send_targets_all; /* else it is answered with the target itself */
    uint64_t nop_interval_ns;     /* 0: no keepalive */
    uint64_t nop_timeout_ns;
    const struct config_node *first_burst_node, *max_burst_node; /* NULL: left out */
};

/* One of the two is not 0: that share of the LUN is used, or no more than that is left. */
struct config_threshold {
    uint64_t used_percent; /* 1..100 */
    uint64_t available_bytes;
};
#define CONFIG_THRESHOLDS_MAX 4
#define CONFIG_THRESHOLD_MIN  (1ull << 20) /* bytes: what SCSI can say */
#define CONFIG_THRESHOLD_MAX  (1ull << 52)

struct config_lun {
    const struct config_node *node; /* the value; .key_node is the number */
    const struct config_node *key_node;
    unsigned number;
    const struct config_node *handler_node;
    const char *handler;
    const struct config_node *options;
    const struct config_node *serial_node, *naa_node, *eui_node;
    const char *serial; /* NULL: derived from target name and number */
    uint8_t naa[16];
    unsigned naa_length; /* 0: derived; 8 or 16 */
    uint8_t eui[16];
    unsigned eui_length;                     /* 0: none; 8, 12 or 16 */
    const char *vendor, *product, *revision; /* NULL: the unit's defaults; at most 8, 16, 4 bytes */
    bool read_only;
    unsigned block_size;            /* 0: as the handler says (512 when it does not care) */
    unsigned physical_block_size;   /* 0: as the handler says */
    unsigned max_compare_and_write; /* blocks, 1..255 */
    bool rotational;
    uint64_t sanitize_rate;                    /* bytes a second; 0: no limit */
    uint64_t deadline_ns;                      /* of an I/O at the handler */
    unsigned when_late;                        /* 0 stall, 1 busy, 2 fail */
    bool removable;                            /* the medium can be ejected */
    const struct config_node *thresholds_node; /* NULL: left out */
    struct config_threshold thresholds[CONFIG_THRESHOLDS_MAX];
    unsigned threshold_count;
    const char *const *initiators; /* base/initiators.h, end with NULL; NULL: whoever may log in */
};

/* What some initiators see instead of the LUNs by their own numbers. */
struct config_view_lun {
    const struct config_node *key_node;
    unsigned number; /* to the initiators … */
    unsigned lun;    /* … of this unit */
};

struct config_view {
    const struct config_node *node;
    const char *name;
    const char *const *initiators; /* end with NULL; never NULL itself */
    struct config_view_lun *luns;
    unsigned lun_count;
};

struct config_target {
    const struct config_node *node;
    const struct config_node *key_node;
    const char *name;                     /* normalised */
    const char *alias;                    /* NULL: none */
    const struct config_portal **portals; /* all portals when the key is left out */
    unsigned portal_count;
    const struct config_auth *auth;    /* NULL: open */
    const char *const *initiators;     /* base/initiators.h, end with NULL; NULL: anyone */
    struct config_redirect *redirects; /* the first that fits counts */
    unsigned redirect_count;
    struct config_session session;
    struct config_lun *luns; /* sorted by number */
    unsigned lun_count;
    struct config_view *views; /* in the file's order, in which they are tried */
    unsigned view_count;
    struct config_part *part; /* private: revise.c */
};

struct config {
    const char *file;
    const struct config_node *root; /* what stands below `targets` may be older than `targets` */
    struct config_daemon daemon;
    struct config_portal *portals; /* portals, auths and targets: in the file's order */
    unsigned portal_count;
    struct config_fence fence;
    struct config_auth *auths;
    unsigned auth_count;
    struct config_discovery discovery;
    struct config_target **targets;
    unsigned target_count;
};

/*
 * 0 and a configuration (there may be warnings in `problems`), or -EINVAL with every error of the
 * file added to `problems`. Control path; touches nothing but memory.
 */
int config_parse(const char *text, size_t length, const char *file, struct config **ret_config,
                 struct config_problems *problems);
struct config *config_free(struct config *config);

/*
 * The same for a look at what else is wrong: with -EINVAL, too, *ret_config is what could be read
 * (NULL: not even the form). Wrong values have their defaults, references may be NULL.
 */
int config_parse_loose(const char *text, size_t length, const char *file,
                       struct config **ret_config, struct config_problems *problems);

/* By normalised name; NULL when there is none. */
const struct config_target *config_find_target(const struct config *config, const char *name);
const struct config_lun *config_find_lun(const struct config_target *target, unsigned number);
