/* Records of what the guest tried: events of the journal, and for a violation everything that follows from it. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "job/egress_priv.h"
#include "job/job_priv.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/output.h"
#include "job/step.h"

static void put_text(struct journal *j, const char *key, const char *value)
{
        if (value[0])
                journal_str(j, key, value);
}

static void put_number(struct journal *j, const char *key, uint64_t value)
{
        if (value)
                journal_i64(j, key, (int64_t)MIN(value, (uint64_t)INT64_MAX));
}

static int write_event(struct egress *g, const struct egress_record *r, struct err *e)
{
        struct journal *j = g->job->journal;

        journal_begin(j, "egress");
        journal_i64(j, "step", r->step);
        journal_word(j, "kind", r->kind);
        journal_word(j, "verdict", r->verdict);
        put_text(j, "protocol", r->protocol);
        put_text(j, "name", r->name);
        put_text(j, "address", r->address);
        put_number(j, "port", r->port);
        put_text(j, "process", r->process);
        put_number(j, "pid", r->pid);
        put_text(j, "reason", r->reason);
        put_text(j, "entry", r->entry);
        put_text(j, "mirror", r->mirror);
        if (r->weak)
                journal_i64(j, "weak", 1);
        if (str_eq(r->kind, "connect")) {
                journal_i64(j, "sent", (int64_t)r->sent);
                journal_i64(j, "received", (int64_t)r->received);
                journal_i64(j, "ms", (int64_t)r->ms);
        }
        return journal_end(j, e);
}

/* ---- violations ---- */

static struct step *open_step(struct egress *g, int index)
{
        list_for (pos, &g->job->steps) {
                struct step *s = list_entry(pos, struct step, link);
                if (s->index == index && s->is_open)
                        return s;
        }
        return NULL;
}

static void destination(const struct egress_record *r, char *ret, size_t size)
{
        char port[8] = "", address[ADDRESS_TEXT + 4] = "";
        bool v6 = strchr(r->address, ':') != NULL;

        if (r->port)
                snprintf(port, sizeof(port), ":%u", r->port);
        if (r->address[0] && r->name[0])
                snprintf(address, sizeof(address), " (%s)", r->address);
        if (r->name[0])
                snprintf(ret, size, "%s%s%s", r->name, port, address);
        else
                snprintf(ret, size, v6 && port[0] ? "[%s]%s" : "%s%s", r->address, port);
}

/* One line that says all of it. */
static void sentence(struct egress *g, const struct egress_record *r, char *ret, size_t size)
{
        const struct step *s = open_step(g, r->step);
        char to[sizeof(g->rows[0].text)], process[EGRESS_TEXT + 32] = "", allow[POLICY_TEXT + 64] = "";
        int n = 0;

        destination(r, to, sizeof(to));
        if (r->process[0])
                snprintf(process, sizeof(process), " (process %s, pid %u)", r->process, (unsigned)r->pid);
        if (r->entry[0])
                snprintf(allow, sizeof(allow), "; '%s' in egress.allow%s would allow it", r->entry,
                         g->policy->profile == POLICY_SEALED ? " of a brokered profile" : "");
        if (s)
                n = snprintf(ret, size, "step '%.80s' ", s->name);
        else
                n = snprintf(ret, size, "the job ");
        snprintf(ret + n, size - (size_t)n, "tried to reach %s%s%s%s: %s%s", to, r->protocol[0] ? " over " : "",
                 r->protocol, process, r->reason[0] ? r->reason : "not listed", allow);
}

static int annotate(struct egress *g, const struct egress_record *r, const char *level, const char *text, struct err *e)
{
        const char *title = "Outgoing connection";
        struct journal *j = g->job->journal;
        struct step *s = open_step(g, r->step);

        if (s && s->output)
                return output_annotate(s->output, level, title, text, e);
        journal_begin(j, "annotation");
        journal_i64(j, "step", MAX(r->step, 0));
        journal_word(j, "level", level);
        journal_word(j, "title", title);
        journal_str(j, "message", text);
        return journal_end(j, e);
}

static void add_row(struct egress *g, const struct egress_record *r)
{
        struct egress_row *row = &g->rows[g->n_rows++];

        row->step = r->step;
        destination(r, row->text, sizeof(row->text));
        str_copy(row->process, sizeof(row->process), r->process);
        str_copy(row->wanted, sizeof(row->wanted), r->entry);
}

/* A program tries one destination by every address that it has: that is told once. */
static bool was_told(const struct egress *g, const struct egress_record *r)
{
        char to[sizeof(g->rows[0].text)];

        destination(r, to, sizeof(to));
        for (unsigned i = 0; i < g->n_rows; i++)
                if (g->rows[i].step == r->step && str_eq(g->rows[i].text, to) && str_eq(g->rows[i].process, r->process))
                        return true;
        return false;
}

/* Masked before it is cut to the length of a message: no half of a secret stands at its end. */
static int fail(struct egress *g, const char *text, struct err *e)
{
        struct err why = ERR_INIT;
        struct buf masked = BUF_INIT;
        int r = masks_text(g->job->config.masks, text, strlen(text), &masked, e);

        if (r == 0)
                r = err_set(&why, ERR_EGRESS_VIOLATION, "%.*s", (int)masked.len, (const char *)masked.data);
        buf_wipe(&masked);
        if (why.code != ERR_SUCCESS)
                job_violate(g->job, &why);
        return why.code != ERR_SUCCESS ? 0 : r;
}

static int violate(struct egress *g, const struct egress_record *r, struct err *e)
{
        char text[2 * ERR_MAX_MESSAGE];
        int ret = 0;

        if (was_told(g, r))
                return 0;
        g->n_violations++;
        sentence(g, r, text, sizeof(text));
        if (g->n_rows < EGRESS_MAX_ANNOTATIONS) {
                add_row(g, r);
                ret = annotate(g, r, g->policy->on_violation == POLICY_FAIL ? "error" : "warning", text, e);
        }
        return ret == 0 && g->policy->on_violation == POLICY_FAIL ? fail(g, text, e) : ret;
}

/* ---- what was allowed, and could not be had ---- */

static bool is_notice(const struct egress_record *r)
{
        return str_eq(r->kind, "connect") && (str_eq(r->verdict, "unreachable") || str_eq(r->verdict, "limited"));
}

static bool was_noticed(const struct egress *g, int step, const char *to)
{
        for (unsigned i = 0; i < g->n_notices; i++)
                if (g->notices[i].step == step && str_eq(g->notices[i].text, to))
                        return true;
        return false;
}

/* No fault of the job, which goes on: it says why what the step wanted is not there, once. A program sees no more than
 * a connection that was reset. */
static int notice(struct egress *g, const struct egress_record *r, struct err *e)
{
        char text[ERR_MAX_MESSAGE];
        struct egress_notice *told = &g->notices[g->n_notices];
        struct egress_record asked = *r;

        if (r->name[0])
                asked.address[0] = 0; /* by name, whichever address of it was tried */
        if (g->n_notices == EGRESS_MAX_ANNOTATIONS)
                return 0;
        told->step = r->step;
        destination(&asked, told->text, sizeof(told->text));
        if (was_noticed(g, told->step, told->text))
                return 0;
        g->n_notices++;
        snprintf(text, sizeof(text), "%s could not be reached%s%s%s%s", told->text,
                 r->mirror[0] ? "; it is this host's mirror " : "", r->mirror, r->reason[0] ? ": " : "", r->reason);
        return annotate(g, r, "notice", text, e);
}

int egress_record_add(struct egress *g, const struct egress_record *r, struct err *e)
{
        int ret = 0;

        /* Nothing that costs a guest little pushes out what was connected. */
        unsigned *n = str_eq(r->kind, "connect") ? &g->n_connects : &g->n_records;

        if (*n < EGRESS_MAX_RECORDS) {
                ++*n;
                ret = write_event(g, r, e);
        } else {
                g->n_unrecorded++;
        }
        if (ret == 0 && is_notice(r))
                return notice(g, r, e);
        return ret == 0 && str_eq(r->verdict, "denied") ? violate(g, r, e) : ret;
}

/* ---- the summary ---- */

/* Foreign text in a cell of a table, and there between backticks. */
#define CELL "|`<>[]\\*_#&!"
#define CODE "|`"

/* Masked as it is, and then without the characters of `special`. */
static int add_cell(struct egress *g, struct buf *ret, const char *text, const char *special, struct err *e)
{
        struct buf masked = BUF_INIT;
        int r = masks_text(g->job->config.masks, text, strlen(text), &masked, e);

        /* The mask itself is of asterisks. */
        bool is_masked =
                r == 0 && (masked.len != strlen(text) || (masked.len && memcmp(masked.data, text, masked.len) != 0));
        for (size_t i = 0; r == 0 && i < masked.len; i++)
                if (strchr(special, masked.data[i]) && !(is_masked && masked.data[i] == '*'))
                        masked.data[i] = '?';
        if (r == 0)
                r = buf_append(ret, masked.data, masked.len, e);
        buf_wipe(&masked);
        return r;
}

static int add_row_text(struct egress *g, const struct egress_row *row, struct buf *text, struct err *e)
{
        const char *tick = row->wanted[0] ? "`" : "";
        int r = buf_append_str(text, "| `", e);

        if (r == 0)
                r = add_cell(g, text, row->text, CODE, e);
        if (r == 0)
                r = buf_append_str(text, "` | ", e);
        if (r == 0)
                r = add_cell(g, text, row->process, CELL, e);
        if (r == 0)
                r = buf_printf(text, e, " | %s", tick);
        if (r == 0)
                r = add_cell(g, text, row->wanted, CODE, e);
        return r < 0 ? r : buf_printf(text, e, "%s |\n", tick);
}

static int add_lines(struct egress *g, struct buf *text, struct err *e)
{
        int r = buf_append_str(text,
                               "### Outgoing connections that the profile does not allow\n\n"
                               "| destination | process | would be allowed by |\n|---|---|---|\n",
                               e);

        for (unsigned i = 0; i < g->n_rows && r == 0; i++)
                r = add_row_text(g, &g->rows[i], text, e);
        if (r == 0 && g->n_violations > g->n_rows)
                r = buf_printf(text, e, "\n%u more.\n", g->n_violations - g->n_rows);
        return r;
}

int egress_summary(struct egress *g, struct err *e)
{
        struct journal *j = g->job->journal;
        struct buf text = BUF_INIT;
        int r = 0;

        if (g->n_unrecorded + g->n_untold)
                r = journal_note(j, -1, e,
                                 "%llu more outgoing connections, packets and lookups were not recorded one by one",
                                 (unsigned long long)(g->n_unrecorded + g->n_untold));
        if (r == 0 && g->n_rows)
                r = add_lines(g, &text, e);
        if (r == 0 && text.len) {
                journal_begin(j, "summary");
                journal_i64(j, "step", MAX(g->rows[0].step, 0));
                journal_text(j, "text", text.data, text.len);
                r = journal_end(j, e);
        }
        buf_done(&text);
        return r;
}
