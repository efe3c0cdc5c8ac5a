/* The client of devdep-source: what devdep-job (and devdep-cli, for facts) asks about a repository on the host.
 *
 * One connected stream socket, one request at a time (a second one while one runs is a bug: assert). Everything is
 * asynchronous on the loop; a callback may free the client. The peer is trusted more than the caller, so a broken
 * answer is ERR_PROTOCOL and ends the client, nothing more. The bytes are those of docs/protocol-source.md.
 *
 * A *repository* is named by its path inside the top one: "" is the top, "lib/zlib" a submodule that an earlier
 * answer to source_submodules() on this connection listed as `present`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct source;

int source_new(struct loop *l, int fd /* taken over on success */, struct source **ret, struct err *e);
struct source *source_free(struct source *s); /* always NULL; ends a running request */

/* Every callback gets `failure` (never NULL and with a code other than ERR_SUCCESS when the request failed; NULL when
 * it succeeded). ERR_USAGE: the repository, ref or request is not usable, the message says why and what to do;
 * ERR_RESOURCES: the host could not; ERR_PROTOCOL: the connection is unusable. The values are valid during the call. */

struct source_commit {
        const char *commit; /* full id in hexadecimal: 40 digits, or 64 in a sha256 repository */
        const char *ref;    /* full name ("refs/heads/main", "refs/tags/v1") when the expression named one, else "" */
};
typedef int source_commit_fn(struct source *s, const struct source_commit *c, const struct err *failure, void *user,
                             struct err *e);
/* A commit from what `ref:` of actions/checkout may be: branch, tag, full ref name, full or abbreviated id, "HEAD", ""
 * (HEAD). Tags are peeled. */
int source_resolve(struct source *s, const char *repository, const char *ref, source_commit_fn *fn, void *user,
                   struct err *e);

enum source_refs {
        SOURCE_REFS_TAGS, /* default: tags that are reachable from the commit, so that `git describe` works */
        SOURCE_REFS_NONE, /* fetch-depth N */
        SOURCE_REFS_ALL,  /* fetch-depth 0: every branch (as refs/remotes/origin/...) and every tag, with their history
                           */
};

struct source_checkout {
        const char *repository;
        const char *commit; /* full id; becomes HEAD, detached */
        const char *ref;    /* full name of the branch or tag it came from, or NULL: refs/heads/x becomes origin/x */
        bool working;       /* the files of the working tree instead of the commit's; the index is the commit's */
        uint32_t depth;     /* 0: full history */
        enum source_refs refs;
};
/* The defaults of `uses: actions/checkout` (docs/decisions/source.md): full history and the tags it reaches. */
#define SOURCE_CHECKOUT_INIT                                                                                           \
        {                                                                                                              \
                .repository = ""                                                                                       \
        }

/* Totals of a finished stream; of an action's tree only what says so. */
struct source_totals {
        uint64_t bytes;     /* of the tar stream; of a tree, too */
        const char *commit; /* that a tree is of; NULL: a checkout */
        uint64_t files;     /* of the working tree; 0 when !working */
        uint64_t refs;
        bool shallow;
        const char *const *notes; /* sentences for the job's log: what was left out and why; may hold any UTF-8 */
        size_t n_notes;
};

/* One tar stream that holds the whole checkout: `.git` (HEAD, config, packed-refs, shallow, one pack with its index,
 * and for a working tree the git index) and the files when `working`. It goes unchanged to the guest's operation `put`
 * (path = the target folder, wipe=1 where `clean` asks for it); then checkout_finish() of source/checkout.h names the
 * one command that the guest runs. */
struct source_stream {
        /* Bytes arrived; take all of them. To stop the flow call source_pause(); it goes on at source_resume(). */
        int (*data)(struct source *s, const uint8_t *data, size_t len, void *user, struct err *e);
        /* Once, last. Without failure the stream is complete; with it the target must be thrown away. */
        int (*done)(struct source *s, const struct source_totals *t, const struct err *failure, void *user,
                    struct err *e);
};
int source_checkout(struct source *s, const struct source_checkout *c, const struct source_stream *fns, void *user,
                    struct err *e);
void source_pause(struct source *s); /* no reading from the socket: the other side stops as well */
void source_resume(struct source *s);

/* An action of the mirror (docs/actions-mirror.md). `ref` is a full commit id, or a tag or a branch that is pinned to
 * one; ERR_USAGE says what the mirror lacks. */
struct source_action {
        const char *commit;
        const char *file; /* "action.yml" or "action.yaml", in `path` */
        const void *manifest;
        size_t manifest_len;
};
typedef int source_action_fn(struct source *s, const struct source_action *a, const struct err *failure, void *user,
                             struct err *e);
/* repository: "owner/repo" in lower case; path: the action's folder in it, "" is the top. */
int source_action(struct source *s, const char *repository, const char *ref, const char *path, source_action_fn *fn,
                  void *user, struct err *e);
/* The whole tree of that commit as one tar stream. */
int source_action_tree(struct source *s, const char *repository, const char *ref, const struct source_stream *fns,
                       void *user, struct err *e);

struct source_submodule {
        const char *path;   /* inside the top repository: usable as `repository` when present */
        const char *commit; /* what the commit records at that path */
        const char *head;   /* the submodule's own HEAD; "" when !present */
        bool present;       /* initialised on the host and usable; else `why` says what is missing */
        const char *why;
};
typedef int source_submodules_fn(struct source *s, const struct source_submodule *v, size_t n,
                                 const struct err *failure, void *user, struct err *e);
/* The submodules that `commit` of a repository records directly; ask again with each path for nested ones. */
int source_submodules(struct source *s, const char *repository, const char *commit, source_submodules_fn *fn,
                      void *user, struct err *e);

/* Facts about HEAD, for the contexts of a run. Absent things are "". */
struct source_facts {
        const char *commit, *branch, *tag; /* branch: short name, "" when detached; tag: nearest exact one */
        const char *subject;               /* first line of the message */
        const char *author_name, *author_email, *author_date, *committer_name, *committer_email; /* date: ISO 8601 */
        const char *remote_url;    /* of origin, without credentials; "" when there is none or it is odd */
        const char *object_format; /* "sha1", "sha256" */
        bool dirty;                /* something tracked differs from HEAD, or untracked files exist */
        bool bare, shallow;
};
typedef int source_facts_fn(struct source *s, const struct source_facts *f, const struct err *failure, void *user,
                            struct err *e);
int source_ask_facts(struct source *s, source_facts_fn *fn, void *user, struct err *e);

/* What a list of changed files compares with, given one commit. */
enum source_since {
        SOURCE_SINCE_COMMIT, /* it: the two dots of a push */
        SOURCE_SINCE_PARENT, /* its first parent, or nothing where it is the first commit of all */
        SOURCE_SINCE_FORK, /* the newest commit that it and the head have in common: the three dots of a pull request */
};
/* The words of the protocol for these and those, by value. */
#define SOURCE_WORDS 3u
extern const char *const source_refs_words[SOURCE_WORDS], *const source_since_words[SOURCE_WORDS];
/* For `paths:` filters. */
struct source_changes {
        const char *const *paths; /* in git's order, at most SOURCE_MAX_CHANGED */
        size_t n;
        bool truncated;   /* further ones differ */
        uint64_t commits; /* of the head that the base has not; SOURCE_MAX_COUNTED means as many or more */
};
typedef int source_changed_fn(struct source *s, const struct source_changes *c, const struct err *failure, void *user,
                              struct err *e);
/* Paths that differ between two commits, both full ids. ERR_USAGE: what a commit is compared with is not here. */
int source_changed(struct source *s, const char *base, enum source_since since, const char *head, source_changed_fn *fn,
                   void *user, struct err *e);
