/* What the readers share. */
#pragma once

#include "base/buf.h"
#include "workflow/reader.h"

#define READER_STREAMS 2u

/* A place in a line: "src/a.c:12:5". */
struct place {
        const char *path;
        size_t path_len;
        unsigned line, column; /* column 0: none */
};

/* A problem that is not whole yet; owns its strings. */
struct draft {
        char *path, *title, *name;
        struct buf message;
        unsigned line, column;
        bool is_open;
};

struct cc {
        char *folder[READER_MAX_FOLDERS]; /* entered last is last */
        unsigned n;
};

struct cargo {
        struct draft draft;
        enum { CARGO_IDLE, CARGO_HEADER, CARGO_PANIC_TEXT, CARGO_PANIC_OPEN } state;
        enum issue_level level;
        unsigned lines;  /* since the draft began */
        bool in_tests;   /* "running N tests" */
        bool in_failure; /* "---- NAME stdout ----" */
};

struct pytest {
        struct draft draft;
        bool is_section, is_captured, is_native;
        size_t indent; /* of the first E line */
};

struct go_problem {
        struct draft draft;
        char *package;
        bool failed;
        size_t indent;
};

struct go {
        struct go_problem v[READER_MAX_HELD];
        size_t n;
        char *test, *panic;
        bool test_failed, any_failed, in_package, in_trace;
};

struct tap {
        struct draft held[READER_MAX_HELD]; /* `not ok` lines */
        char *known[READER_MAX_HELD];       /* names of tests that were told already; "" for none */
        size_t n, n_known;
        struct draft diagnosis;
        bool has_plan, after_failure;
        bool in_yaml, in_block; /* yaml: of the last one held; block: of a text in it */
        size_t block_indent;
};

struct readers {
        struct readers_config config;
        char *workspace, *folder, *go_module;
        struct cc cc;
        struct cargo cargo[READER_STREAMS];
        struct pytest pytest[READER_STREAMS];
        struct go go[READER_STREAMS];
        struct tap tap;
};

/* Does s begin with the text? Then *s is behind it. */
bool reader_skip(const char **s, const char *text);
/* PATH:LINE:COLUMN or PATH:LINE that fills s[len]. */
bool reader_place(const char *s, size_t len, struct place *ret);

void draft_clear(struct draft *d);
/* Path and numbers replace the old ones. */
int draft_place(struct draft *d, const struct place *p, struct err *e);
/* One line more of the message; past ISSUE_MAX_MESSAGE it is left out. */
int draft_add(struct draft *d, const char *line, struct err *e);
int draft_set(char **field, const char *text, size_t len, struct err *e);
/* Is the draft's path in the workspace? */
bool reader_is_inside(const struct readers *r, const char *path, size_t len);
/* Tell the owner; relative paths are below `folder`. The draft is cleared. */
int reader_tell(struct readers *r, const char *source, enum issue_level level, const char *folder, struct draft *d,
                const char *code, struct err *e);

int cc_line(struct readers *r, const char *line, struct err *e);
void cc_done(struct cc *c);
int cargo_line(struct readers *r, struct cargo *c, const char *line, struct err *e);
int cargo_finish(struct readers *r, struct cargo *c, struct err *e);
int pytest_line(struct readers *r, struct pytest *p, const char *line, struct err *e);
int pytest_finish(struct readers *r, struct pytest *p, struct err *e);
int go_line(struct readers *r, struct go *g, const char *line, struct err *e);
int go_finish(struct readers *r, struct go *g, struct err *e);
void go_done(struct go *g);
int tap_line(struct readers *r, struct tap *t, const char *line, struct err *e);
int tap_finish(struct readers *r, struct tap *t, struct err *e);
void tap_done(struct tap *t);
