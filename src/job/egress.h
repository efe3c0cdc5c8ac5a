/* Outgoing connections of the guest, seen from devdep-job: what the guest asks and tells (docs/protocol-guest.md), what
 * devdep-broker answers (docs/protocol-broker.md), what is recorded (`egress` events) and what a violation comes to.
 *
 * Theory of operation. The guest opens `connect` streams; each gets a stream to the broker, and bytes flow between the
 * two, each direction stopped by the windows of both (egress_relay.c). The broker alone decides and dials; where there
 * is none (`sealed`) everything is refused here. The broker's record of a connection comes on a stream of its own. One
 * that was denied waits up to EGRESS_PROCESS_MS for the guest's word about whose connection it was (egress_event.c);
 * then it is a violation: an annotation, a line of the summary, and by `on_violation: fail` the job's end with 401.
 *
 * A name below devdep.internal is the host's own, in every profile: a mirror that the policy names, which the broker
 * dials, or a service, whose connections go to devdep-service in the same way. They are recorded as allowed, or as
 * unreachable, which is a notice and no violation. No entry of a policy concerns them.
 *
 * Names that were looked up and the names of processes are the guest's: they are made printable, and masked by the
 * journal. Memory: connections times two windows, EGRESS_MAX_* of everything else. */
#pragma once

struct door_stream;
struct egress;
struct err;
struct fields;
struct job;
struct map;

#define EGRESS_MAX_CONNECTIONS 128u /* at once; a further one is refused */
#define EGRESS_MAX_RECORDS 10000u   /* events `egress` of connections, and as many of others; more are counted */
#define EGRESS_MAX_ANNOTATIONS 20u  /* of violations, and lines of the summary */
#define EGRESS_PROCESS_MS 1000u     /* for the guest to say whose a denied connection was */

/* Connected to devdep-broker and to devdep-service, or -1: there is none. Taken over. */
int egress_new(struct job *j, int broker_fd, int service_fd, struct egress **ret, struct err *e);
/* What clients of the service look for in their environment, for an action's process; nothing where there is none. */
int egress_variables(const struct egress *g, struct map *ret, struct err *e);
struct egress *egress_free(struct egress *g); /* always NULL */
/* Tell the guest which addresses are listed. `done` is called with the guest's refusal or NULL; EGRESS_E_NONE: there is
 * nothing to tell, and it is not called. */
#define EGRESS_E_NONE 1
typedef int egress_done_fn(const char *refusal, void *user, struct err *e);
int egress_prepare(struct egress *g, egress_done_fn *done, void *user, struct err *e);
/* An operation of the guest: takes the stream, refuses it, or leaves it to be refused as unsupported. */
int egress_request(struct egress *g, struct door_stream *s, const char *op, const struct fields *header, struct err *e);
/* The job is over: record what is still open, and write the summary. */
int egress_finish(struct egress *g, struct err *e);
