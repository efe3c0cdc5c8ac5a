/* The built-in readers: what compilers and test programs print, recognised without a matcher. Each asks for the form
 * of its program's output closely enough that the output of another one gives nothing; tests/data/matchers has real
 * output of all of them.
 *
 *   cc      gcc, clang: FILE:LINE[:COLUMN]: error|warning: ..., for files of the C family; the linker's undefined and
 *           multiple definitions. Folders that make and ninja enter are followed.
 *   cargo   rustc and clippy (a header, then `--> FILE:LINE:COLUMN`), panics of failed tests and of programs,
 *           `cargo fmt --check`
 *   pytest  sections FAILURES and ERRORS, in the styles long, short, line and native
 *   go      `go test` (with -v, too), panics in it, `go build` and `go vet`
 *   tap     TAP with YAML blocks, and Test::More's diagnostics
 *
 * A program's path is relative to the step's folder. What lies outside the workspace gives an annotation without a
 * file, whose message begins with the path. Nothing here is executed or opened. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "workflow/issue.h"

struct err;
struct readers;

enum { READER_CC = 1, READER_CARGO = 2, READER_PYTEST = 4, READER_GO = 8, READER_TAP = 16, READER_ALL = 31 };

#define READER_MAX_HELD 100u   /* problems of a step that wait for what follows (go's package, the end of TAP) */
#define READER_MAX_FOLDERS 16u /* that make entered, in each other */
#define READER_MAX_GO_MOD ((size_t)64 << 10)

struct readers_config {
        const char *workspace, *folder; /* absolute; folder: where the step's process started. Copied */
        unsigned readers;               /* READER_... */
        issue_fn *issue;
        void *user;
};

/* The bit of a name ("cc", ...; "gcc" and "clang" mean cc), or 0. */
unsigned reader_of(const char *name);

int readers_new(const struct readers_config *config, struct readers **ret, struct err *e);
struct readers *readers_free(struct readers *r); /* always NULL */
/* One line of stream 0 or 1 as issue_clean() gives it. */
int readers_line(struct readers *r, unsigned stream, const char *line, struct err *e);
/* Some files of Go problems cannot be told without the text of go.mod in the step's folder. */
bool readers_want_go_mod(const struct readers *r);
int readers_go_mod(struct readers *r, const void *text, size_t len, struct err *e);
/* The step has ended: what waited is told. */
int readers_finish(struct readers *r, struct err *e);
