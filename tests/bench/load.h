/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The load generator: a small iSCSI initiator in one thread. It shares nothing with the target but
 * the byte helpers and the CRC, so that it can judge any target by the same measure.
 *
 *   options.c    the command line
 *   login.c      both login stages, as a state machine (the storm logs in thousands at once)
 *   receive.c    a streaming PDU parser; data is discarded, or kept where it must be checked
 *   transmit.c   a queue of headers and data that leaves in one gathered send
 *   session.c    what the full feature PDUs mean: tasks, R2T, the command window, NOP
 *   workload.c   which block comes next, and in --verify what must be in it
 *   storm.c      many logins at once, then held
 *   chap.c       the initiator's side of CHAP
 *   hostile.c    sockets that say nothing, or a byte a second
 *   comeback.c   sessions that log in again when their connection goes
 *   pace.c       --rate: so many commands a second, and no more
 *   pause.c      how long nothing came after a signal
 *   load.c       the loop of one measurement and its line of figures; SIGUSR2: a line in between
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BHS_BYTES     48
#define NO_TAG        0xffffffffu
#define TEXT_BYTES    16384u /* answers to login and sense are kept up to this */
#define SCRATCH_BYTES (256u << 10)
#define PAYLOAD_BYTES (16u << 20)

struct options {
    const char *host, *port;
    const char *target;
    const char *initiator; /* a number is added for every connection */
    unsigned lun;
    unsigned depth; /* commands in flight on each connection */
    uint32_t block; /* bytes a command */
    unsigned read_percent;
    unsigned connections;
    double seconds, warmup;
    bool sequential, verify, one_send, fill, poll;
    bool header_digest, data_digest;
    bool initial_r2t, immediate_data;
    uint32_t receive_segment, first_burst, max_burst; /* what is offered, in bytes */
    uint64_t range;                                   /* bytes used from the start; 0: the LUN */
    uint64_t seed;
    unsigned storm;
    unsigned addresses; /* 127.0.1.x to connect from; 0: the system's choice */
    unsigned silent, drip;
    bool comeback;
    const char *chap; /* "name:secret" */
    double hold; /* seconds the storm's sessions are held */
    const char *cpu_of;
    uint32_t rate; /* commands a second on all connections; 0: as many as it takes */
};

#define STALL_NS (20 * NS_PER_S) /* without an answer: the target is given up */

extern struct options opt;
void options_parse(int argc, char **argv);

enum login_state { LOGIN_SECURITY, LOGIN_OPERATIONAL, LOGIN_DONE, LOGIN_FAILED };

struct params {
    bool header_digest, data_digest, initial_r2t, immediate_data;
    uint32_t send_segment; /* the target's MaxRecvDataSegmentLength */
    uint32_t first_burst, max_burst;
};

struct receive {
    enum { RX_HEADER, RX_DATA, RX_DIGEST } phase;
    uint32_t have;       /* bytes of the header, or of the digest, so far */
    uint32_t data, left; /* DataSegmentLength; bytes of data and pad still to come */
    uint32_t crc;
    uint8_t header[BHS_BYTES + 4];
    uint8_t digest[4];
    uint8_t *to; /* where the data goes; NULL: nowhere */
};

struct transmit {
    struct iovec *iov;
    unsigned first, last, room; /* iov[first..last) waits to be sent */
    uint8_t *ring;              /* headers and digests; data stays where it is */
    uint32_t used, bytes;
};

struct task {
    uint64_t start; /* ns */
    uint64_t lba;
    uint32_t received;
    bool busy, write;
    uint8_t status;
    uint64_t slot; /* --verify: the block written or read, and what it must hold */
    uint32_t generation;
    uint8_t *buffer; /* --verify only */
};

struct conn {
    int fd;
    unsigned index;
    enum login_state state;
    char fault[160]; /* why the connection is no good; empty while it is */
    struct params p, wanted;
    uint32_t cmd_sn, max_cmd_sn, exp_stat_sn;
    uint16_t tsih;
    struct receive rx;
    struct transmit tx;
    bool want_write; /* epoll watches for room to send */
    struct task *tasks;
    uint16_t *idle; /* stack of tasks that wait to be issued */
    unsigned idle_tasks;
    unsigned finished_in_turn;
    uint64_t random, next_slot;
    uint64_t first_slot, slots;   /* this connection's share, in units of opt.block */
    uint64_t check_slot, checked; /* --verify at the end; --fill */
    uint32_t *generations;        /* --verify */
    uint8_t *text;                /* TEXT_BYTES */
    uint32_t text_bytes;
    bool logged_out;
    uint8_t io_status; /* of the last command outside the workload */
    uint64_t started, again; /* comeback.c: when to connect next */
    bool gone;               /* the connection has failed, nothing else */
    uint16_t refused_with;   /* a login status, or 0 */
    unsigned chap_step;
    uint32_t chap_bytes;
    uint64_t answered; /* when a command ended last */
};

struct lun {
    uint64_t blocks;
    uint32_t block_bytes;
};

extern struct lun lun;
extern uint8_t *payload; /* PAYLOAD_BYTES that are written when nothing is verified */

/* Every function below that can fail writes conn->fault and returns false. */
bool fail(struct conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* login.c */
int conn_connect(struct conn *c, bool wait); /* the socket, or -errno */
void login_start(struct conn *c);
bool login_answer(struct conn *c);
bool conn_login(struct conn *c); /* connects and logs in, waiting for each answer */
void conn_init(struct conn *c, unsigned index);
void conn_free(struct conn *c);

/* chap.c: writes name and response, for the challenge in conn->text, to `to`; chap_bytes of it */
bool chap_answer(struct conn *c, char *to, size_t room);

/* receive.c */
bool receive_feed(struct conn *c, const uint8_t *bytes, size_t n);
bool receive_some(struct conn *c, bool wait); /* one receive, fed to the parser */

/* transmit.c */
uint8_t *tx_header(struct conn *c); /* 48 zeroed bytes, good until tx_commit() */
void tx_commit(struct conn *c, const void *data, uint32_t bytes);
bool tx_flush(struct conn *c); /* sends what the socket takes */
static inline bool tx_pending(const struct conn *c)
{
    return c->tx.first != c->tx.last;
}

/* session.c */
bool session_header(struct conn *c); /* says where the data goes: rx.to */
bool session_pdu(struct conn *c);
void session_issue(struct conn *c);   /* issues what depth, window and pace allow */
bool session_issue_one(struct conn *c); /* whatever the pace; false: not possible now */
bool session_again(struct conn *c);   /* after another login: sends what is unanswered */
bool session_prepare(struct conn *c); /* unit attentions, capacity */
void session_logout(struct conn *c);

/* workload.c */
void workload_init(struct conn *c);
bool workload_next(struct conn *c, struct task *t); /* false: nothing is left to do */
bool workload_done(struct conn *c, struct task *t);

/* load.c */
struct figures {
    uint64_t commands, bytes, errors;
    bool running, measuring;
    bool checking; /* --verify: every written slot is read once more */
    uint64_t now;  /* ns, of this turn */
};
extern struct figures fig;
void figures_latency(uint64_t ns);

/* pace.c */
void pace_begin(struct conn *conns);
bool pace_turn(void); /* issues what is due; false: a connection is no good */
int pace_wait_ms(void); /* until more is due, or -1: nothing will be */

/* pause.c */
void pause_init(void);
void pause_answer(struct conn *c, uint64_t asked); /* a command of it has ended that was sent at `asked` */
void pause_print(void);

bool load_enough(void); /* SIGTERM has come */
bool load_flush(struct conn *c); /* sends what the socket takes, the rest later */

/* storm.c */
int storm_run(void);
void files_limit(unsigned sockets);

/* hostile.c */
void hostile_open(void);
uint64_t hostile_turn(uint64_t now); /* ns; returns when it wants to be called next */
void hostile_close(void);

/* comeback.c */
int comeback_run(void);
