/* devdep-cli expr: one expression, or JSON Lines of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "workflow/answer.h"

#define READ_SIZE ((size_t)256 << 10)

static int write_out(struct buf *b, struct err *e)
{
        int r = fd_write_all(STDOUT_FILENO, b->data, b->len, "standard output", e);

        buf_clear(b);
        return r;
}

static int read_contexts(const char *path, struct value **ret, struct err *e)
{
        struct buf text = BUF_INIT;

        if (!path)
                return value_object(ret, e);
        int r = fs_read(path, ANSWER_MAX_LINE, &text, e);
        if (r == FS_E_MISSING)
                r = err_set(e, ERR_USAGE, "--context: there is no file '%s'", path);
        if (r == 0 && (r = value_parse_json((const char *)text.data, text.len, NULL, ret, e)) < 0)
                r = err_wrap(e, r, "%s", path);
        buf_done(&text);
        if (r == 0 && value_kind(*ret) != VALUE_OBJECT)
                return err_set(e, ERR_USAGE, "%s: expected an object of contexts: {\"github\": {...}, ...}", path);
        return r;
}

static int refused(const struct args *a, const char *text, const struct expr_fault *fault, int r, struct err *e)
{
        if (strncmp(text, "${{", 3) == 0 && fault->kind == EXPR_FAULT_LEXING)
                return err_wrap(e, r, "%s: write the expression without ${{ and }}", a->path);
        return fault->kind == EXPR_FAULT_NONE ? r : err_wrap(e, r, "%s error", expr_fault_name(fault->kind));
}

static int print_one(const struct args *a, const char *text, struct err *e)
{
        AUTO(value_unrefp) struct value *contexts = NULL, *v = NULL;
        struct expr_fault fault;
        struct buf out = BUF_INIT;

        if (!str_is_utf8(text, strlen(text)))
                return err_set(e, ERR_USAGE, "%s: the expression is not UTF-8", a->path);
        int r = read_contexts(args_get(a, "context"), &contexts, e);
        if (r < 0)
                return r;
        struct expr_env env = answer_env(contexts);
        r = expr_evaluate(text, strlen(text), &env, &v, &fault, e);
        if (r < 0)
                return refused(a, text, &fault, r, e);
        r = value_to_json_text(v, VALUE_WRITE_PRETTY | VALUE_WRITE_ASCII, &out, e);
        if (r == 0)
                r = buf_append_byte(&out, '\n', e);
        if (r == 0)
                r = write_out(&out, e);
        buf_done(&out);
        return r;
}

/* Lines in, answers out. */
struct lines {
        struct answers *answers;
        struct buf in, out;
        size_t scanned; /* bytes of `in` that are known to hold no newline */
        bool skipping;  /* within a line that was too long */
};

static int answer_one(struct lines *l, size_t start, size_t len, struct err *e)
{
        bool skipped = l->skipping;

        l->skipping = false;
        return skipped ? 0 : answers_line(l->answers, (const char *)l->in.data + start, len, &l->out, e);
}

/* Everything that can be answered; what is too long is answered at once and skipped up to its newline. */
static int answer_all(struct lines *l, bool end, struct err *e)
{
        size_t start = 0;
        int r = 0;

        while (r == 0 && start < l->in.len) {
                const uint8_t *from = l->in.data + start;
                const uint8_t *newline = memchr(from + l->scanned, '\n', l->in.len - start - l->scanned);

                if (!newline && !end)
                        break;
                size_t len = newline ? (size_t)(newline - from) : l->in.len - start;
                r = answer_one(l, start, len, e);
                start += len + (newline != NULL);
                l->scanned = 0;
                if (r == 0 && l->out.len > READ_SIZE)
                        r = write_out(&l->out, e);
        }
        buf_consume(&l->in, start);
        l->scanned = l->in.len;
        if (r == 0 && (l->in.len > ANSWER_MAX_LINE || l->skipping)) {
                if (!l->skipping)
                        r = answers_refuse("the line is longer than 4 MiB (ANSWER_MAX_LINE)", &l->out, e);
                l->skipping = true;
                l->scanned = 0;
                buf_clear(&l->in);
        }
        return r;
}

static int read_lines(struct lines *l, struct err *e)
{
        for (;;) {
                int r = buf_reserve(&l->in, READ_SIZE, e);

                if (r < 0)
                        return r;
                ssize_t n = read(STDIN_FILENO, l->in.data + l->in.len, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "read standard input");
                l->in.len += (size_t)n;
                r = answer_all(l, n == 0, e);
                if (r == 0)
                        r = write_out(&l->out, e);
                if (r < 0 || n == 0)
                        return r;
        }
}

static int print_lines(struct err *e)
{
        AUTO(answers_freep) struct answers *answers = NULL;
        struct lines l = {0};

        int r = answers_new(&answers, e);
        l.answers = answers;
        if (r == 0)
                r = read_lines(&l, e);
        buf_done(&l.in);
        buf_done(&l.out);
        return r;
}

static int run_expr(const struct args *a, struct err *e)
{
        if (!args_has(a, "jsonl")) {
                if (a->n_positional == 0)
                        return err_set(e, ERR_USAGE, "%s: expected EXPRESSION, or --jsonl; see '%s --help'", a->path,
                                       a->path);
                return print_one(a, a->positional[0], e);
        }
        if (a->n_positional > 0 || args_has(a, "context"))
                return err_set(e, ERR_USAGE, "%s: --jsonl takes expressions and contexts from standard input alone",
                               a->path);
        return print_lines(e);
}

static const struct command_option options[] = {
        {"context", 0, "FILE", "a JSON object of contexts: {\"github\": {\"ref\": ...}, ...}", false},
        {"jsonl", 0, NULL, "answer {\"expr\": ..., \"contexts\": {...}} line by line", false},
};

const struct command command_expr = {
        .name = "expr",
        .summary = "Evaluate an expression of the workflow language",
        .positional = "EXPRESSION",
        .max_args = 1,
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .details =
                "Prints the value as JSON, as toJSON does: NaN and infinities are null. The expression is written\n"
                "without ${{ and }}; after '--' it may begin with '-'. success(), failure(), cancelled() and always()\n"
                "are known where the contexts have job.status. With --jsonl each line of standard input is answered "
                "by\n"
                "{\"kind\": ..., \"value\": ...} or {\"error\": {\"kind\": ..., \"message\": ...}}; a bad line, too.",
        .examples = "  devdep-cli expr \"format('{0}-{1}', 'build', 7)\"\n"
                    "  echo '{\"github\": {\"ref\": \"refs/heads/main\"}}' > contexts.json\n"
                    "  devdep-cli expr --context contexts.json \"startsWith(github.ref, 'refs/heads/')\"\n"
                    "  echo '{\"expr\": \"1 < 2\"}' | devdep-cli expr --jsonl\n",
        .run = run_expr,
};
