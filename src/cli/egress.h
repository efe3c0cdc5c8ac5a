/* The egress of a run, as the command has it: the policy that it starts jobs with, and what becomes of their records.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct args;
struct egress_log;
struct egress_sink;
struct err;
struct json_t;
struct profile;

/* What the command line says: which profile, what a violation comes to, what else is listed. A new reference. ERR_USAGE
 * names the option. */
int egress_options(const struct args *a, struct json_t **ret, struct err *e);
/* The policy of a run, as policy_from_json() takes it: the repository's profile (NULL: none), and before it the command
 * line. A new reference. */
int egress_policy(const struct profile *p, const struct json_t *options, struct json_t **ret, struct err *e);
/* Is every name and address let through? */
bool egress_is_open(const struct json_t *policy);
/* May this run reach anything, be it a mirror of the operator alone? */
bool egress_needs_broker(const struct json_t *policy);

/* Where the records of all jobs of a run go. report: a file, made anew (0600), or NULL; to_syslog: one line each. */
int egress_sink_new(const char *report, bool to_syslog, struct egress_sink **ret, struct err *e);
struct egress_sink *egress_sink_free(struct egress_sink *s); /* always NULL */
CLEANUP_DEFINE(struct egress_sink, egress_sink_free)
/* Everything was written. ERR_RESOURCES: it could not be. */
int egress_sink_close(struct egress_sink *s, struct err *e);

/* The records of one job. */
int egress_log_new(struct egress_log **ret, struct err *e);
struct egress_log *egress_log_free(struct egress_log *l); /* always NULL */
/* An `egress` event of the journal. */
int egress_log_add(struct egress_log *l, struct egress_sink *s, const char *run, const char *job,
                   const struct json_t *event, struct err *e);
/* The operator's mirrors, for records: {"npm": "npm", "debian": "plain"}, name and kind. A new reference; NULL: there
 * are none, or no memory. */
struct json_t *egress_mirrors(const struct json_t *policy);
/* {"profile": ..., "mirrors": ..., "records": N, "digest": "sha256:..."}: the digest is over the job's lines of a
 * report; `mirrors` only where there are some. A new reference; NULL: no memory. */
struct json_t *egress_log_summary(struct egress_log *l, const struct json_t *policy);
