/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SANITIZE (SBC-3 5.24): the command begins a job of the unit that nothing ends before it is done: no
 * abort, no reset, no loss of a session, no death of the worker, no power loss. The job lives on the
 * reactor of lane 0. As long as it exists, commands are refused (UNIT_SANITIZING), and those that
 * were begun before find an exclusive range (range.h) and are refused there.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct asked;
struct sanitize_job;
struct scsi_cause;
struct scsi_command;
struct scsi_unit;
struct scsi_unit_config;

enum sanitize_action {
    SANITIZE_OVERWRITE = 0x01,
    SANITIZE_BLOCK_ERASE = 0x02,
    SANITIZE_CRYPTO_ERASE = 0x03,
    SANITIZE_EXIT_FAILURE = 0x1f,
};

/* What was asked for, also as it is saved. */
struct sanitize_record {
    uint32_t magic, version, crc;
    uint8_t action;    /* enum sanitize_action; 0: none */
    uint8_t count;     /* OVERWRITE: passes */
    bool invert;       /* OVERWRITE: every other pass */
    bool exit_allowed; /* AUSE */
    bool failed;
    uint8_t reserved; /* no padding anywhere: there is a check sum */
    uint16_t pattern_bytes;
    uint8_t pattern[4096];
};

/* Of a unit. */
struct scsi_sanitize {
    _Atomic uint32_t progress; /* 65536ths */
    _Atomic bool exit_allowed; /* after a failure */
    struct sanitize_job *job;  /* home's, as the next two */
    struct asked *asked;       /* the command that has yet to be answered */
    struct sanitize_record *record; /* what is being done, or has failed; NULL: nothing */
    bool held;     /* home's: a job does not begin */
    uint64_t rate; /* bytes a second; 0: as fast as it goes */
    char *path;
};

/* Control thread. What was not finished goes on. */
void scsi_sanitize_init(struct scsi_unit *unit, const struct scsi_unit_config *config);
void scsi_sanitize_deinit(struct scsi_unit *unit);

/*
 * Held: the job stands still, and a command that waits for its end is answered with BUSY. When another unit takes the
 * place of this one, that one goes on with the job. Control thread; it happens before what is posted to that reactor
 * afterwards.
 */
void scsi_sanitize_hold(struct scsi_unit *unit, bool held);

/* NOT READY, SANITIZE IN PROGRESS, with the progress. */
void scsi_sanitizing(struct scsi_command *cmd);
void scsi_sanitize_cause(struct scsi_unit *unit, struct scsi_cause *cause);

/* A SANITIZE that a dead worker had begun: waits for that job, or is answered as it ended. Its reactor. */
void scsi_sanitize_rejoin(struct scsi_command *cmd);

/*
 * Commands of this reactor that wait for a job's end and for nothing else. They count as still: another
 * process goes on with the job, and its scsi_sanitize_rejoin() answers them.
 */
unsigned scsi_sanitize_resting(void);

/* Home's reactor (sanitize_job.c). Begins with unit->sanitize.record, of which `done` bytes are
   done. */
void sanitize_begin(struct scsi_unit *unit, uint64_t done);
/* No I/O is begun any more; what is under way comes to an end, and is done again when it has failed. */
void sanitize_stop(struct scsi_unit *unit);
void sanitize_go_on(struct scsi_unit *unit);
/* The job has ended; result 0 or negative errno. In sanitize.c. */
void sanitize_ended(struct scsi_unit *unit, int result);
