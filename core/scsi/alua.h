/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asymmetric access (SPC-4 5.15): every target port group (portal group tag) of a unit has a state. It
 * comes from the configuration and is changed by SET TARGET PORT GROUPS. A nexus learns of a change as
 * of one of reservations: by the access version (home.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_command;
struct scsi_nexus;
struct scsi_unit;
struct scsi_unit_config;

enum scsi_access_state {
    ACCESS_OPTIMIZED = 0,
    ACCESS_NON_OPTIMIZED = 1,
    ACCESS_STANDBY = 2,
    ACCESS_UNAVAILABLE = 3,
};

/* Control thread; the keep memory is there. */
void scsi_alua_init(struct scsi_unit *unit, const struct scsi_unit_config *config);
/* The state of a port of the unit's target, by its index (relative port - 1). Any thread; every nexus
   gets the unit attention. */
void scsi_unit_set_access_state(struct scsi_unit *unit, unsigned port, enum scsi_access_state state);
/* What the state of its port denies this nexus: DENY_STANDBY, DENY_UNAVAILABLE. */
uint8_t scsi_alua_denied(const struct scsi_unit *unit, const struct scsi_nexus *nexus);
/* NOT READY with the state of the nexus's port. */
void scsi_alua_refuse(struct scsi_command *cmd);
