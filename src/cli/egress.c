#include "cli/egress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "net/policy.h"
#include "profile/profile.h"

/* ---- the policy ---- */

static int read_allowed(const struct args *a, json_t *list, struct err *e)
{
        struct policy_entry entry;
        const char *text;

        for (size_t i = 0; (text = args_get_nth(a, "allow", i)); i++) {
                int r = policy_entry_parse(text, &entry, e);
                if (r < 0)
                        return err_wrap(e, r, "--allow %s", text);
                if (json_array_append_new(list, json_string(text)) < 0)
                        return err_nomem(e);
        }
        return 0;
}

int egress_options(const struct args *a, struct json_t **ret, struct err *e)
{
        const char *profile = args_get(a, "egress"), *violation = args_get(a, "on-violation");
        enum policy_profile known = POLICY_SEALED;
        enum policy_violation known_violation;
        AUTO(json_decrefp) json_t *list = json_array();

        if (!list)
                return err_nomem(e);
        if (profile && policy_profile_parse(profile, &known, e) < 0)
                return err_wrap(e, -1, "--egress");
        if (violation && policy_violation_parse(violation, &known_violation, e) < 0)
                return err_wrap(e, -1, "--on-violation");
        int r = read_allowed(a, list, e);
        if (r < 0)
                return r;
        if (profile && known == POLICY_SEALED && json_array_size(list))
                return err_set(e, ERR_USAGE,
                               "--allow %s: with --egress sealed nothing is reached; leave that out, or write brokered",
                               args_get_nth(a, "allow", 0));
        *ret = json_pack("{s:s*,s:s*,s:O}", "profile", profile, "on_violation", violation, "allow", list);
        return *ret ? 0 : err_nomem(e);
}

/* What the repository's profile says; without one, a sealed guest. */
static json_t *from_profile(const struct profile *p)
{
        static const enum policy_profile reach[] = {
                [PROFILE_SEALED] = POLICY_SEALED, [PROFILE_BROKERED] = POLICY_BROKERED, [PROFILE_AUDIT] = POLICY_AUDIT};
        const struct profile_egress *x = p ? &p->egress : NULL;
        const struct profile_str *allowed = x ? x->allow.v : NULL;
        bool warns = x && x->on_violation.value == PROFILE_VIOLATION_WARNS;
        json_t *list = json_array();

        for (size_t i = 0; list && x && i < x->allow.n; i++)
                json_array_append_new(list, json_string(allowed[i].text));
        return json_pack("{s:s,s:s,s:o}", "profile", policy_profile_name(x ? reach[x->reach.value] : POLICY_SEALED),
                         "on_violation", policy_violation_name(warns ? POLICY_WARN : POLICY_FAIL), "allow", list);
}

static bool has_profile(const struct json_t *policy, enum policy_profile which)
{
        return str_eq(json_string_value(json_object_get(policy, "profile")), policy_profile_name(which));
}

bool egress_is_open(const struct json_t *policy)
{
        return has_profile(policy, POLICY_AUDIT);
}

int egress_policy(const struct profile *p, const struct json_t *options, struct json_t **ret, struct err *e)
{
        AUTO(json_decrefp) json_t *policy = from_profile(p);
        const json_t *more = json_object_get(options, "allow");
        AUTO(policy_freep) struct policy *checked = NULL;
        const char *const words[] = {"profile", "on_violation"};
        int failed = policy ? json_array_extend(json_object_get(policy, "allow"), (json_t *)(uintptr_t)more) : -1;

        /* Who lists something wants it reached. */
        if (failed == 0 && json_array_size(more) && has_profile(policy, POLICY_SEALED))
                failed = json_object_set_new(policy, "profile", json_string(policy_profile_name(POLICY_BROKERED)));
        for (size_t i = 0; failed == 0 && i < ARRAY_SIZE(words); i++) {
                json_t *word = json_object_get(options, words[i]);
                failed = word ? json_object_set(policy, words[i], word) : 0;
        }
        if (failed)
                return err_nomem(e);
        int r = policy_from_json(policy, &checked, e);
        if (r == 0)
                *ret = TAKE_PTR(policy);
        return r;
}

bool egress_needs_broker(const struct json_t *policy)
{
        return !has_profile(policy, POLICY_SEALED) || json_array_size(json_object_get(policy, "mirrors"));
}

/* ---- where records go ---- */

struct egress_sink {
        int fd; /* of the report; -1: none */
        char *path;
        bool to_syslog;
};

struct egress_sink *egress_sink_free(struct egress_sink *s)
{
        if (!s)
                return NULL;
        fd_close(s->fd);
        free(s->path);
        if (s->to_syslog)
                closelog();
        free(s);
        return NULL;
}

int egress_sink_new(const char *report, bool to_syslog, struct egress_sink **ret, struct err *e)
{
        AUTO(egress_sink_freep) struct egress_sink *s = calloc(1, sizeof(*s));

        if (!s)
                return err_nomem(e);
        s->fd = -1;
        s->to_syslog = to_syslog;
        if (report) {
                s->path = str_dup(report);
                s->fd = open(report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
                if (!s->path)
                        return err_nomem(e);
                if (s->fd < 0)
                        return err_errno(e, ERR_USAGE, errno, "--egress-report %s", report);
        }
        if (to_syslog)
                openlog("devdep", LOG_PID, LOG_DAEMON);
        *ret = TAKE_PTR(s);
        return 0;
}

int egress_sink_close(struct egress_sink *s, struct err *e)
{
        int fd = s->fd;

        s->fd = -1;
        return fd >= 0 && close(fd) < 0 ? err_errno(e, ERR_RESOURCES, errno, "write %s", s->path) : 0;
}

static int sink_write(struct egress_sink *s, const struct buf *line, bool denied, struct err *e)
{
        if (s->to_syslog)
                syslog(denied ? LOG_WARNING : LOG_INFO, "egress %.*s", (int)line->len - 1, (const char *)line->data);
        return s->fd < 0 ? 0 : fd_write_all(s->fd, line->data, line->len, s->path, e);
}

/* ---- the records of a job ---- */

struct egress_log {
        struct hash *hash;
        uint64_t records;
};

struct egress_log *egress_log_free(struct egress_log *l)
{
        if (l)
                hash_free(l->hash);
        free(l);
        return NULL;
}
CLEANUP_DEFINE(struct egress_log, egress_log_free)

int egress_log_new(struct egress_log **ret, struct err *e)
{
        AUTO(egress_log_freep) struct egress_log *l = calloc(1, sizeof(*l));

        if (!l)
                return err_nomem(e);
        int r = hash_new(&l->hash, e);
        if (r == 0)
                *ret = TAKE_PTR(l);
        return r;
}

/* The event without what is the journal's, behind run and job. ASCII: it may come before somebody's eyes. */
static int make_line(const char *run, const char *job, const json_t *event, struct buf *ret, struct err *e)
{
        static const char *const ours[] = {"v", "seq", "type"};
        AUTO(json_decrefp) json_t *line = json_pack("{s:s,s:s}", "run", run, "job", job);
        AUTO(json_decrefp) json_t *copy = json_copy((json_t *)(uintptr_t)event);

        for (size_t i = 0; copy && i < ARRAY_SIZE(ours); i++)
                json_object_del(copy, ours[i]);
        if (!line || !copy || json_object_update(line, copy) < 0)
                return err_nomem(e);
        int r = json_write(line, JSON_WRITE_ASCII, ret, e);
        return r < 0 ? r : buf_append_byte(ret, '\n', e);
}

int egress_log_add(struct egress_log *l, struct egress_sink *s, const char *run, const char *job,
                   const struct json_t *event, struct err *e)
{
        AUTO(buf_done) struct buf line = BUF_INIT;
        bool denied = str_eq(json_string_value(json_object_get(event, "verdict")), "denied");
        int r = make_line(run, job, event, &line, e);

        if (r == 0)
                r = hash_add(l->hash, line.data, line.len, e);
        l->records++;
        return r < 0 ? r : sink_write(s, &line, denied, e);
}

struct json_t *egress_mirrors(const struct json_t *policy)
{
        const json_t *list = json_object_get(policy, "mirrors");
        json_t *all = json_array_size(list) ? json_object() : NULL;

        for (size_t i = 0; all && i < json_array_size(list); i++) {
                const json_t *m = json_array_get(list, i);
                const char *kind = json_string_value(json_object_get(m, "kind"));
                json_object_set_new(all, json_string_value(json_object_get(m, "name")),
                                    json_string(kind ? kind : "plain"));
        }
        return all;
}

struct json_t *egress_log_summary(struct egress_log *l, const struct json_t *policy)
{
        char digest[HASH_HEX_SIZE];
        uint8_t bytes[HASH_SIZE];

        if (hash_finish(l->hash, bytes, NULL) < 0)
                return NULL;
        hash_hex(bytes, digest);
        return json_pack("{s:O,s:o*,s:I,s:s+}", "profile", json_object_get(policy, "profile"), "mirrors",
                         egress_mirrors(policy), "records", (json_int_t)l->records, "digest", "sha256:", digest);
}
