/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the model share; private to core/config. */
#pragma once

#include "config/model.h"
#include "config/schema.h"

/* A configuration with what it owns. */
struct config_owner {
    struct config config; /* first */
    struct config_tree *tree;
    struct config_chunks *chunks;
    GHashTable *by_name;          /* targets; NULL: none was looked for yet */
    struct config_places *places; /* revise.c; NULL: none were needed yet */
};

/* revise.c */
struct config_places *config_places_free(struct config_places *places);
/* The memory of a target that was read alone, and of nothing else. */
void config_target_free_part(struct config_target *target);

/* model_target.c: one entry of `targets:`, read into a target of `reader->config`. */
struct config_target *config_read_target(const struct config_entry *entry,
                                         struct config_reader *reader);

extern const struct config_schema config_session_schema, config_lun_schema, config_target_schema,
    config_view_schema;

/* model_target.c: the whole `targets:` mapping; portals, auths and daemon are read already. */
void config_read_targets(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader);
/* model_lun.c: the whole `luns:` mapping of a target. */
void config_read_luns(const struct config_node *node, const struct config_field *field,
                      void *object, struct config_reader *reader);
/* model_view.c: the whole `views:` mapping of a target, whose LUNs are read already. */
void config_read_views(const struct config_node *node, const struct config_field *field,
                       void *object, struct config_reader *reader);
/* model_access.c: the `discovery:` mapping, and a target's list of redirections. */
extern const struct config_schema config_discovery_schema, config_redirect_schema;
/* model_thresholds.c: `thresholds:` of a LUN. */
extern const struct config_schema config_thresholds_schema;
void config_read_thresholds(const struct config_node *node, const struct config_field *field,
                            void *object, struct config_reader *reader);
void config_read_discovery(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader);
void config_read_redirects(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader);
/* A list of names of portals, and a name of `auth` (NULL: "none", or an error that is told). */
void config_read_portal_list(const struct config_node *node, const char *key,
                             const struct config_portal ***ret_portals, unsigned *ret_count,
                             struct config_reader *reader);
const struct config_auth *config_find_auth(const struct config_node *node, const char *key,
                                           struct config_reader *reader);
/* A list of initiators (base/initiators.h) at the field's offset. */
void config_read_initiators(const struct config_node *node, const struct config_field *field,
                            void *object, struct config_reader *reader);
/* check.c: what several parts must agree on. */
void config_check(const struct config *config, struct config_problems *problems);
/* The same for one target, as if it were the only one. */
void config_check_target(const struct config_target *target, const struct config *config,
                         struct config_problems *problems);

/* One more place in a list of names that ends with NULL, for config_did_you_mean(); g_free(). */
const char **config_portal_names(const struct config *config);
const char **config_auth_names(const struct config *config);
