/* Asking devdep-source and waiting for the answer: for commands that have nothing else to do meanwhile. An answer that
 * does not come, or a stream that stands still, for ASK_TIMEOUT_MS is ERR_RESOURCES. */
#pragma once

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "source/client.h"
#include "source/start.h"

struct err;
struct source_asker;

#define ASK_TIMEOUT_MS 30000u

int source_asker_new(const struct source_start *s, struct source_asker **ret, struct err *e);
struct source_asker *source_asker_free(struct source_asker *a); /* NULL is fine; always NULL */
CLEANUP_DEFINE(struct source_asker, source_asker_free)

/* source_ask_facts(). The strings belong to *ret. */
struct source_facts_own {
        char *commit, *branch, *tag, *subject, *author_name, *author_email, *author_date, *committer_name,
                *committer_email, *remote_url, *object_format;
        bool dirty, bare, shallow;
};
int source_asker_facts(struct source_asker *a, struct source_facts_own *ret, struct err *e);
void source_facts_done(struct source_facts_own *f);

/* source_resolve() in the repository itself: the full id, malloc'd. */
int source_asker_resolve(struct source_asker *a, const char *ref, char **ret_commit, struct err *e);

/* source_changed() in the repository itself. */
struct source_changes_own {
        struct strv paths;
        bool truncated;
        uint64_t commits;
};
int source_asker_changed(struct source_asker *a, const char *base, enum source_since since, const char *head,
                         struct source_changes_own *ret, struct err *e);
void source_changes_done(struct source_changes_own *c);

/* source_action(): the commit (malloc'd), the file's name and its bytes. */
struct source_action_own {
        char *commit;
        char *file;
        struct buf manifest;
};
int source_asker_action(struct source_asker *a, const char *repository, const char *ref, const char *path,
                        struct source_action_own *ret, struct err *e);
void source_action_done(struct source_action_own *a);

/* source_checkout(): every byte of the stream goes to fn. */
int source_asker_checkout(struct source_asker *a, const struct source_checkout *c,
                          int (*fn)(const void *data, size_t len, void *user, struct err *e), void *user,
                          struct err *e);
