/* source-probe: starts devdep-source as devdep-cli does and asks it what its standard input says, one request a line,
 * fields separated by tabs; answers as JSON lines. For the end-to-end tests of the source.
 *
 *   source-probe --program DEVDEP-SOURCE [--uid N] [--scratch FOLDER] [--mirror FOLDER --pins FILE] [FOLDER]
 *
 *   facts | resolve REPO REF | submodules REPO COMMIT | changed BASE commit|parent|fork HEAD
 *   action OWNER/REPO REF PATH
 *   action_tree OWNER/REPO REF OUTFILE
 *   checkout REPO COMMIT REF working|commit DEPTH tags|none|all OUTFILE
 *   stall ... (as checkout: stops reading after the first bytes and closes) */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "loop/loop.h"
#include "source/client.h"
#include "source/start.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct probe {
        struct loop *loop;
        FILE *out; /* of a checkout */
        bool stall, stalled, gone;
};

static void print(json_t *answer)
{
        if (!answer)
                answer = json_pack("{s:s}", "error", "the answer is not UTF-8");
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        fflush(stdout);
        json_decref(answer);
}

static bool failed(struct probe *p, const struct err *failure)
{
        loop_quit(p->loop);
        if (failure)
                print(json_pack("{s:s, s:i}", "error", failure->msg, "code", (int)failure->code));
        return failure != NULL;
}

static int on_commit(struct source *s, const struct source_commit *c, const struct err *failure, void *user,
                     struct err *e)
{
        (void)s;
        (void)e;
        if (!failed(user, failure))
                print(json_pack("{s:s, s:s}", "commit", c->commit, "ref", c->ref));
        return 0;
}

static int on_facts(struct source *s, const struct source_facts *f, const struct err *failure, void *user,
                    struct err *e)
{
        (void)s;
        (void)e;
        if (!failed(user, failure))
                print(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "commit", f->commit,
                                "branch", f->branch, "tag", f->tag, "subject", f->subject, "author_name",
                                f->author_name, "author_email", f->author_email, "author_date", f->author_date,
                                "remote_url", f->remote_url, "object_format", f->object_format, "dirty", f->dirty,
                                "bare", f->bare, "shallow", f->shallow));
        return 0;
}

static int on_submodules(struct source *s, const struct source_submodule *v, size_t n, const struct err *failure,
                         void *user, struct err *e)
{
        (void)s;
        (void)e;
        if (failed(user, failure))
                return 0;
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
                json_array_append_new(list,
                                      json_pack("{s:s, s:s, s:s, s:b, s:s}", "path", v[i].path, "commit", v[i].commit,
                                                "head", v[i].head, "present", v[i].present, "why", v[i].why));
        print(json_pack("{s:o}", "submodules", list));
        return 0;
}

static int on_changed(struct source *s, const struct source_changes *c, const struct err *failure, void *user,
                      struct err *e)
{
        (void)s;
        (void)e;
        if (failed(user, failure))
                return 0;
        json_t *list = json_array();
        for (size_t i = 0; i < c->n; i++)
                json_array_append_new(list, json_string(c->paths[i]));
        print(json_pack("{s:o, s:b, s:I}", "paths", list, "truncated", c->truncated, "commits",
                        (json_int_t)c->commits));
        return 0;
}

static int on_action(struct source *s, const struct source_action *a, const struct err *failure, void *user,
                     struct err *e)
{
        (void)s;
        (void)e;
        if (!failed(user, failure))
                print(json_pack("{s:s, s:s, s:s%}", "commit", a->commit, "file", a->file, "manifest", a->manifest,
                                a->manifest_len));
        return 0;
}

static int on_data(struct source *s, const uint8_t *data, size_t len, void *user, struct err *e)
{
        struct probe *p = user;
        if (p->stall) {
                p->stalled = true;
                source_pause(s);
                loop_quit(p->loop);
                return 0;
        }
        return fwrite(data, 1, len, p->out) == len ? 0 : err_set(e, ERR_RESOURCES, "write the stream");
}

static int on_done(struct source *s, const struct source_totals *t, const struct err *failure, void *user,
                   struct err *e)
{
        (void)s;
        (void)e;
        if (failed(user, failure))
                return 0;
        json_t *notes = json_array();
        for (size_t i = 0; i < t->n_notes; i++)
                json_array_append_new(notes, json_string(t->notes[i]));
        print(json_pack("{s:I, s:s?, s:I, s:I, s:b, s:o}", "bytes", (json_int_t)t->bytes, "commit", t->commit, "files",
                        (json_int_t)t->files, "refs", (json_int_t)t->refs, "shallow", t->shallow, "notes", notes));
        return 0;
}

#define MAX_WORDS 8

static unsigned split(char *line, char *words[MAX_WORDS])
{
        unsigned n = 0;
        line[strcspn(line, "\n")] = '\0';
        for (char *word; n < MAX_WORDS && (word = strsep(&line, "\t"));)
                words[n++] = word;
        static char none[1];
        for (unsigned i = n; i < MAX_WORDS; i++)
                words[i] = none;
        return n;
}

static const struct source_stream stream = {on_data, on_done};

static int open_out(struct probe *p, const char *path, struct err *e)
{
        p->out = fopen(path, "wb");
        return p->out ? 0 : err_set(e, ERR_USAGE, "cannot write %s", path);
}

static int ask_tree(struct probe *p, struct source *s, char *w[MAX_WORDS], struct err *e)
{
        int r = open_out(p, w[3], e);
        return r < 0 ? r : source_action_tree(s, w[1], w[2], &stream, p, e);
}

static int ask_checkout(struct probe *p, struct source *s, char *w[MAX_WORDS], struct err *e)
{
        uint64_t depth = 0;
        struct source_checkout c = {.repository = w[1],
                                    .commit = w[2],
                                    .ref = w[3][0] ? w[3] : NULL,
                                    .working = str_eq(w[4], "working"),
                                    .refs = str_eq(w[6], "all")    ? SOURCE_REFS_ALL
                                            : str_eq(w[6], "none") ? SOURCE_REFS_NONE
                                                                   : SOURCE_REFS_TAGS};
        int r = num_u64(w[5], 0, UINT32_MAX, "depth", &depth, e);
        if (r < 0)
                return r;
        c.depth = (uint32_t)depth;
        p->stall = str_eq(w[0], "stall");
        r = open_out(p, w[7], e);
        return r < 0 ? r : source_checkout(s, &c, &stream, p, e);
}

static int ask(struct probe *p, struct source *s, char *line, struct err *e)
{
        char *w[MAX_WORDS];
        unsigned n = split(line, w);
        if (n == 1 && str_eq(w[0], "facts"))
                return source_ask_facts(s, on_facts, p, e);
        if (n == 3 && str_eq(w[0], "resolve"))
                return source_resolve(s, w[1], w[2], on_commit, p, e);
        if (n == 3 && str_eq(w[0], "submodules"))
                return source_submodules(s, w[1], w[2], on_submodules, p, e);
        if (n == 4 && str_eq(w[0], "changed"))
                return source_changed(s, w[1],
                                      str_eq(w[2], "fork")     ? SOURCE_SINCE_FORK
                                      : str_eq(w[2], "parent") ? SOURCE_SINCE_PARENT
                                                               : SOURCE_SINCE_COMMIT,
                                      w[3], on_changed, p, e);
        if (n == 4 && str_eq(w[0], "action"))
                return source_action(s, w[1], w[2], w[3], on_action, p, e);
        if (n == 4 && str_eq(w[0], "action_tree"))
                return ask_tree(p, s, w, e);
        if (n == 8 && (str_eq(w[0], "checkout") || str_eq(w[0], "stall")))
                return ask_checkout(p, s, w, e);
        return err_set(e, ERR_USAGE, "unknown request '%s' with %u words", w[0], n);
}

static int session(struct probe *p, struct source *s, struct err *e)
{
        char *line = NULL;
        size_t cap = 0;
        int r = 0;
        while (r == 0 && !p->stalled && getline(&line, &cap, stdin) > 0) {
                r = ask(p, s, line, e);
                if (r == 0)
                        r = loop_run(p->loop, e);
                if (p->out)
                        fclose(p->out);
                p->out = NULL;
        }
        free(line);
        return r;
}

static int run(struct source_start *start, const char *folder, struct err *e)
{
        AUTO(source_process_done) struct source_process process = SOURCE_PROCESS_INIT;
        AUTO(source_place_done) struct source_place place = {0};
        struct probe p = {0};
        struct source *s = NULL;
        int r = folder ? source_place_find(folder, &place, e) : 0;
        start->place = folder ? &place : NULL;
        if (r == 0)
                r = source_start(start, &process, e);
        if (r == 0)
                r = loop_new(&p.loop, e);
        if (r == 0)
                r = source_new(p.loop, process.child.socket_fd, &s, e);
        if (r < 0)
                return r;
        process.child.socket_fd = -1;
        json_t *protections = json_object();
        for (int i = 0; i < SANDBOX_PROTECTION_COUNT; i++)
                json_object_set_new(protections, sandbox_protection_name((enum sandbox_protection)i),
                                    json_string(sandbox_state_name(process.child.report.held[i].state)));
        print(json_pack("{s:i, s:o}", "pid", (int)process.child.pid, "protections", protections));
        r = session(&p, s, e);
        source_free(s);
        loop_free(p.loop);
        return r;
}

int main(int argc, char **argv)
{
        struct source_start start = SOURCE_START_INIT;
        struct err e = ERR_INIT;
        struct buf pins = BUF_INIT;
        uint64_t uid;
        int i = 1;
        log_init("source-probe", LOG_WARNING);
        for (; i + 1 < argc && str_starts(argv[i], "--"); i += 2) {
                if (str_eq(argv[i], "--scratch"))
                        start.scratch = argv[i + 1];
                else if (str_eq(argv[i], "--mirror"))
                        start.mirror = argv[i + 1];
                else if (str_eq(argv[i], "--pins"))
                        fs_read(argv[i + 1], 1u << 20, &pins, &e);
                else if (str_eq(argv[i], "--program"))
                        start.program = argv[i + 1];
                else if (str_eq(argv[i], "--uid") && num_u64(argv[i + 1], 1, 1u << 30, "--uid", &uid, &e) == 0)
                        start.uid = start.gid = (uid_t)uid;
        }
        start.pins = pins.data;
        start.n_pins = pins.len;
        if (i + 1 != argc && !(i == argc && start.mirror))
                err_set(&e, ERR_USAGE,
                        "usage: source-probe --program DEVDEP-SOURCE [--uid N] [--scratch FOLDER] [--mirror FOLDER "
                        "--pins "
                        "FILE] [FOLDER]");
        int r = e.code ? -1 : run(&start, argv[i], &e);
        if (r < 0)
                print(json_pack("{s:s, s:i}", "error", e.msg, "code", (int)e.code));
        buf_done(&pins);
        return r < 0;
}
