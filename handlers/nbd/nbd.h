/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the handler nbd:
 *
 *   nbd.c         options, open and close, the queues; on the daemon's threads
 *   client.c      one thread a LUN: takes the I/Os of all queues, gives them to connections, waits
 *   connection.c  one connection to the server, of libnbd
 *   request.c     an I/O as NBD commands, and what its answer means
 *   remember.c    what the export was, for a process that starts while the server is away
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <libnbd.h>

#include <holdfast/handler.h>

#define CONNECTIONS_MAX 16u

/* As the option table fills it. */
struct config {
    const char *uri;
    const char *tls_certificates, *tls_psk_file, *tls_username;
    uint64_t connections;
    uint64_t open_ns, dead_ns;
    uint32_t unmap; /* enum unmap */
    uint32_t write_through;
};
enum unmap { UNMAP_TRIM, UNMAP_ZEROES, UNMAP_NO };

/* What a server says of an export when a connection to it is made. */
#define EXPORT_READ_ONLY 0x01u
#define EXPORT_FLUSH     0x02u
#define EXPORT_FUA       0x04u
#define EXPORT_TRIM      0x08u
#define EXPORT_ZEROES    0x10u
#define EXPORT_STATUS    0x20u
#define EXPORT_MULTI     0x40u /* several connections see one disk with one cache */
struct export
{
    uint64_t bytes;
    uint32_t flags;
    uint32_t min_bytes;       /* of a request; 1 when the server has no wish */
    uint32_t preferred_bytes; /* 0: no wish */
    uint32_t max_bytes;       /* of a READ or WRITE */
};

/* Requests in the order in which they go out. */
struct chain {
    struct request *first, *last;
};

struct queue {
    struct client *client;
    struct hf_queue *name; /* the daemon's */
    struct chain fresh;    /* submitted in this turn of the reactor */
};

/* An I/O, in hf_io.room: the reactor's until kick(), then the thread's. */
struct request {
    struct request *next, *before;
    struct queue *queue;
    struct hf_io *io;
    struct connection *on; /* that it is under way on; NULL: it waits */
    uint64_t number;       /* of arrival */
    uint64_t done, piece;  /* bytes answered; bytes asked for now */
    char *bounce;          /* its bytes in one piece; NULL: they are in one piece already */
    uint64_t extent_bytes; /* BLOCK_STATUS: the answer */
    uint32_t extent_state;
    _Atomic uint32_t cancelled;
};

struct connection {
    struct nbd_handle *nbd; /* NULL: there is none */
    struct client *client;
    struct chain under_way;
    uint32_t under_way_count;
    uint32_t up;       /* requests may be sent */
    uint32_t leaving;  /* the server has said that it shuts down */
    uint64_t since_ms; /* of the attempt under way */
    uint64_t next_ms;  /* of the next attempt */
    uint64_t pause_ms; /* between the attempts */
    int32_t error;     /* that it died of; 0: it has not */
    char why[256];
};

/* A LUN. Above `lock` what never changes; below what is under it; below `thread` what is the thread's. */
struct client {
    const struct hf_host *host;
    const struct config *config;
    struct hf_lun *lun;
    char name[300]; /* target and LUN, for the log */
    uint32_t read_only;
    uint32_t asked_block_bytes;
    int wake; /* eventfd */

    pthread_mutex_t lock;
    pthread_cond_t settled_cond;
    struct chain incoming;
    uint32_t asleep, ending;
    uint32_t settled; /* open() knows enough: `export` or `why` */
    int32_t error;    /* the reason why not: positive errno; 0: it has worked */
    char why[300];
    struct export export; /* written by the thread, under the lock */
    uint32_t known;       /* `export` is what the LUN was opened with */
    struct remembered *remembered;

    pthread_t thread;
    struct connection connections[CONNECTIONS_MAX];
    struct chain waiting;
    uint64_t numbers;
    uint32_t several; /* connections are allowed */
    uint64_t away_ms; /* since when there is no connection; 0: there is one */
    uint32_t told;    /* lines in the log about it */
    char last_told[300];
};

/* chain: in request.c */
void chain_append(struct chain *chain, struct request *request);
void chain_remove(struct chain *chain, struct request *request);
void chain_insert(struct chain *chain, struct request *request); /* by its number */
void chain_join(struct chain *to, struct chain *from);

/* request.c. Sends it; on failure it waits again, or is answered. */
void request_send(struct request *request, struct connection *connection);
void request_answer(struct request *request, int32_t result);
void request_wait(struct request *request);
/* The flags of hf_lun_info that an export is worth with this configuration. */
uint32_t request_features(const struct config *config, const struct export *export);

/* connection.c */
void connection_start(struct connection *connection, uint64_t now_ms);
/* Looks what has become of it after libnbd has had its turn. */
void connection_look(struct connection *connection, uint64_t now_ms);
/* Keeps what libnbd says of its end; to be called after what may have been it. */
void connection_note_death(struct connection *connection);
/* Ends it; what was under way waits for another. */
void connection_drop(struct connection *connection, uint64_t now_ms, int32_t error,
                     const char *why);

/* client.c. Starts the thread; waits until the server has said what the export is: 0, or -error with `why`. */
int32_t client_start(struct client *client);
void client_end(struct client *client);
void client_wake(struct client *client);
/* From connection.c: the server is there; 0 and what it says is taken, or a refusal with words. */
const char *client_export(struct client *client, const struct export *export);
void client_failed(struct client *client, int32_t error, const char *why);
void client_fill_info(const struct client *client, struct hf_lun_info *info);

/* remember.c. NULL: this daemon has no memory for that. */
struct remembered *remember_open(const struct client *client, struct export *ret_export,
                                 uint32_t *ret_is_known);
void remember(struct remembered *remembered, const struct client *client);
void remember_close(struct remembered *remembered);
