/* What devdep-secrets says: field lists (docs/protocol-secrets.md). Its readers trust it more than it trusts them, and
 * check its messages all the same. Pure.
 *
 * What it is told is one byte each, so that a devdep-job that was taken over has nothing to write into its parser. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct fields;

enum secrets_verb {
        SECRETS_ASK = 'a',     /* the values, once */
        SECRETS_TOOK = 't',    /* the changed value was read: the one it replaces can be zeroed */
        SECRETS_ROTATE = 'r',  /* look at the versions now */
        SECRETS_RELEASE = 'f', /* zero everything, revoke what was lent */
        SECRETS_CHECK = 'c',   /* is everything there? By metadata alone */
};

enum secrets_word {
        SECRETS_VALUES,   /* the answer to ask: where each value is */
        SECRETS_FAILED,   /* the answer to any verb that could not be done: message */
        SECRETS_CHANGED,  /* one value, which took another's place */
        SECRETS_NOTE,     /* message: a sentence for the log */
        SECRETS_ROTATED,  /* the answer to rotate, behind what changed: count */
        SECRETS_RELEASED, /* the answer to release: count of what was revoked */
        SECRETS_CHECKED,  /* the answer to check, behind one SECRETS_MISSING per secret that is not there: count */
        SECRETS_MISSING,  /* name, message */
        SECRETS_WORD_COUNT,
};

/* Where a value is in the memory file. The text belongs to the message. */
struct secrets_value {
        const char *name;
        const char *version; /* "" where the provider has none */
        size_t at, len;
};

struct secrets_message {
        enum secrets_word word;
        struct secrets_value *values; /* VALUES: all of them; CHANGED: one */
        size_t n_values;
        const char *name;    /* MISSING */
        const char *message; /* FAILED, NOTE, MISSING */
        uint64_t count;      /* ROTATED, RELEASED, CHECKED */
        struct fields *fields;
};

/* Append one message. Fields that its word does not have are not looked at. */
int secrets_message_write(const struct secrets_message *m, struct buf *ret, struct err *e);
/* Read one whole field list, which is taken over. Values lie within `size` bytes, names are valid. ERR_PROTOCOL names
 * what is wrong. */
int secrets_message_read(struct fields *f, size_t size, struct secrets_message *ret, struct err *e);
void secrets_message_done(struct secrets_message *m);
