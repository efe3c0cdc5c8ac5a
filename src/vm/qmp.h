/* QMP, QEMU's control protocol: bytes in, messages out, no I/O. The peer is a VMM that a guest may have taken over, so
 * every line is bounded, parsed strictly and matched with what was asked; the first violation is ERR_PROTOCOL and the
 * end. Followed: QEMU 7.2 docs/interop/qmp-spec. Only what devdep uses: in-order commands with an id, events.
 *
 * Whoever started the VMM may have written commands with the id QMP_START_ID before; their answers are dropped here,
 * and an error among them is a violation. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct err;
struct buf;

#define QMP_MAX_LINE (256u * 1024u) /* bytes; the largest answer is 64 KiB of console in base64 */
#define QMP_MAX_PENDING 16u         /* commands without an answer */

#define QMP_START_ID "start"

enum qmp_type { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_message {
        enum qmp_type type;
        uint64_t id;       /* RETURN, ERROR: of the command */
        const char *name;  /* EVENT: its name; ERROR: the description */
        const void *value; /* json_t: the value of "return", or the "data" of an event (may be NULL) */
};

struct qmp;
typedef int qmp_fn(const struct qmp_message *m, void *user, struct err *e);

int qmp_new(struct qmp **ret, struct err *e);
struct qmp *qmp_free(struct qmp *q); /* always NULL */
/* Directly after qmp_new(): another process led the conversation up to here and had every answer. No greeting comes. */
void qmp_continue(struct qmp *q);
/* Each complete line becomes one call of fn, whose negative return ends it. fn must not free q. */
int qmp_feed(struct qmp *q, const uint8_t *data, size_t len, qmp_fn *fn, void *user, struct err *e);
/* Append a command to `out`; arguments is JSON text or NULL. Ids count from 1. Needs the greeting to have come. */
int qmp_command(struct qmp *q, const char *name, const char *arguments, struct buf *out, uint64_t *ret_id,
                struct err *e);
