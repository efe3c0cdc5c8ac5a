/* Masks: no secret leaves devdep-job in a log, an annotation, an output or an error.
 *
 * Theory of operation. A set of values is compiled into patterns (each value, each telling line of a multi-line value,
 * and their encodings, mask_encode.h) and these into one Aho-Corasick automaton, so that scanning is linear in the text
 * whatever text and secrets are: a guest that knows one secret cannot make us slow by printing nearly it. Values that
 * come later make automata of their own, which are put together as they grow (tiers, each more than twice as large as
 * the next): neither can a guest that masks one value after another. Nodes are
 * numbered breadth-first, so a node's children are neighbours and a node needs 17 bytes. In front of the automaton
 * stands a bitmap of hashed four-byte beginnings: as long as no pattern is under way, the scan is one independent load
 * per byte.
 *
 * What can be told apart from the shape of the automaton is its labels: these, the values and the patterns live in
 * locked memory (base/secret.h). No pattern holds a newline, so nothing is ever held back past the end of a line.
 *
 * Colours may stand between the bytes of a value, as programs write them that mark what they found: a whole text is
 * also looked at without its control sequences. A stream is not; who has whole lines takes them to masks_colored()
 * first.
 *
 * A stream is masked across any cut of its bytes: bytes that may still become a pattern are held until they cannot, or
 * until mask_stream_flush(). Every maximal run of covered bytes becomes one MASK_TEXT. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct masks;

#define MASK_TEXT "***"
#define MASK_MAX_VALUE ((size_t)1 << 20) /* bytes of one value */
#define MASK_MAX_TOTAL ((size_t)4 << 20) /* bytes of all values of a job */
#define MASK_MAX_VALUES 16384u
/* Bytes of all forms of all values: an automaton takes 20 times as much, and devdep-job has 512 MiB. */
#define MASK_MAX_FORMS ((size_t)20 << 20)

#define MASK_E_FULL 1 /* a limit above would be passed; nothing was added */

int masks_new(struct masks **ret, struct err *e);
struct masks *masks_free(struct masks *m); /* wipes; always NULL */
/* Add a value; empty and known ones are ignored. Takes effect with the next byte that is scanned. */
int masks_add(struct masks *m, const void *value, size_t len, struct err *e);
/* Of whole lines: *ret, which is empty, gets the text with MASK_TEXT for each secret, control sequences (ESC [ ...)
 * within it included; it stays empty when the text has none of both. What is given back has not been masked otherwise.
 */
int masks_colored(struct masks *m, const void *text, size_t len, struct buf *ret, struct err *e);
/* Append the masked form of a whole text. */
int masks_text(struct masks *m, const void *text, size_t len, struct buf *ret, struct err *e);
/* Does the text hold a secret in any form? */
int masks_found(struct masks *m, const void *text, size_t len, bool *ret, struct err *e);

/* A stream of text, for example the standard output of a step. */
struct mask_stream;
int mask_stream_new(struct masks *m, struct mask_stream **ret, struct err *e);
struct mask_stream *mask_stream_free(struct mask_stream *s); /* wipes what is held; always NULL */
/* Append to *ret what is certain now. */
int mask_stream_feed(struct mask_stream *s, const void *text, size_t len, struct buf *ret, struct err *e);
int mask_stream_flush(struct mask_stream *s, struct buf *ret, struct err *e); /* the text ends here */
