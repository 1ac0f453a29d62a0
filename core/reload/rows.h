/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of fields.c; for it and for the test that compares them with those of core/config. */
#pragma once

#include <stddef.h>

#include "reload/plan.h"

enum plan_row_form {
    ROW_PLAIN,     /* equal bytes */
    ROW_TEXT,      /* const char *, may be NULL */
    ROW_WORDS,     /* const char *const *, may be NULL, ends with NULL */
    ROW_ELSEWHERE, /* compared by code */
};

struct plan_row {
    const char *key;
    enum plan_row_form form;
    enum plan_class class;
    size_t offset, bytes;
    unsigned lun_change; /* PLAN_LUN_* */
};

/* They end with a NULL key. */
extern const struct plan_row plan_discovery_rows[], plan_redirect_rows[];
extern const struct plan_row plan_daemon_rows[], plan_portal_rows[], plan_target_rows[],
    plan_session_rows[], plan_lun_rows[];
