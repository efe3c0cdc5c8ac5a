/* Limits of the streams between a helper and its client. Each has a row in docs/limits.md. */
#pragma once

#define SERVE_MAX_CHUNK (64u * 1024u)   /* bytes of one chunk of a stream, either way */
#define SERVE_MAX_UNSENT (256u * 1024u) /* bytes of a client's stream that wait before it is told to stop */
