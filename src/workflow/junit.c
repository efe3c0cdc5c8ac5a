#include "workflow/junit.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

struct reader {
        const struct junit_config *config;
        XML_Parser parser;
        struct err *e;
        int r;
        unsigned depth, problems;
        char *test, *file, *message;
        unsigned line;
        bool in_failure;
        struct buf text;
};

static void stop(struct reader *x, int r)
{
        x->r = r;
        XML_StopParser(x->parser, XML_FALSE);
}

static int keep(struct reader *x, char **field, const char *value)
{
        free(*field);
        *field = value ? str_ndup(value, ISSUE_MAX_MESSAGE) : NULL;
        if (!value || *field)
                return 0;
        stop(x, err_nomem(x->e));
        return -1;
}

static const char *attribute(const char **list, const char *name)
{
        for (; *list; list += 2)
                if (strcmp(*list, name) == 0)
                        return list[1];
        return NULL;
}

/* ---- a failure ---- */

/* "PATH:LINE: ..." at the beginning of a line: the path as a string of its own. */
static char *read_place(const char *line, size_t len, unsigned *ret_line)
{
        for (size_t i = 1; i + 1 < len && i < ISSUE_MAX_PATH; i++) {
                size_t digits = 0;
                if (line[i] != ':')
                        continue;
                while (i + 1 + digits < len && line[i + 1 + digits] >= '0' && line[i + 1 + digits] <= '9')
                        digits++;
                *ret_line = issue_number(line + i + 1, digits);
                bool ends = i + 1 + digits == len || line[i + 1 + digits] == ':';
                return *ret_line && ends ? str_ndup(line, i) : NULL;
        }
        return NULL;
}

/* The last line of the text with a place in the workspace. */
static char *last_place(const struct reader *x, unsigned *ret_line)
{
        size_t end = x->text.len;
        const char *text = (const char *)x->text.data;
        while (end) {
                const char *nl = memrchr(text, '\n', end - 1);
                const char *from = nl ? nl + 1 : text;
                const char *at = from;
                while (at < text + end && (*at == ' ' || *at == '\t'))
                        at++;
                AUTO(auto_free) char *path = read_place(at, (size_t)(text + end - at), ret_line);
                char *file =
                        path && !strchr(path, ' ') ? issue_path(x->config->workspace, x->config->folder, path) : NULL;
                if (file)
                        return file;
                end = (size_t)(from - text);
                if (end)
                        end--;
        }
        return NULL;
}

static int tell(struct reader *x)
{
        unsigned line = 0;
        AUTO(auto_free) char *file = last_place(x, &line);
        if (!file) {
                file = x->file ? issue_path(x->config->workspace, x->config->folder, x->file) : NULL;
                line = file ? x->line : 0;
        }
        struct issue i = {.level = ISSUE_ERROR, .source = "junit", .file = file, .line = line, .title = x->test};
        i.message = x->message && *x->message ? x->message : buf_cstr(&x->text);
        if (!i.message)
                return err_nomem(x->e);
        if (!*i.message)
                i.message = "failed";
        return x->config->issue(&i, x->config->user, x->e);
}

/* ---- expat ---- */

static void on_start(void *user, const char *name, const char **attributes)
{
        struct reader *x = user;
        const char *line = attribute(attributes, "line");
        if (++x->depth > JUNIT_MAX_DEPTH) {
                stop(x, err_set(x->e, ERR_RUN_FAILED, "elements nested deeper than %u levels", JUNIT_MAX_DEPTH));
                return;
        }
        if (strcmp(name, "testcase") == 0) {
                if (keep(x, &x->test, attribute(attributes, "name")) == 0)
                        keep(x, &x->file, attribute(attributes, "file"));
                x->line = line ? issue_number(line, strlen(line)) : 0;
        }
        if (!x->test || (strcmp(name, "failure") != 0 && strcmp(name, "error") != 0))
                return;
        if (++x->problems > JUNIT_MAX_PROBLEMS)
                stop(x, err_set(x->e, ERR_RUN_FAILED, "more than %u failures", JUNIT_MAX_PROBLEMS));
        else if (keep(x, &x->message, attribute(attributes, "message")) == 0)
                x->in_failure = true;
        buf_clear(&x->text);
}

static void on_text(void *user, const char *text, int len)
{
        struct reader *x = user;
        if (!x->in_failure || x->r < 0)
                return;
        if (x->text.len + (size_t)len > JUNIT_MAX_TEXT)
                buf_consume(&x->text, x->text.len / 2);
        int r = buf_append(&x->text, text, MIN((size_t)len, JUNIT_MAX_TEXT / 2), x->e);
        if (r < 0)
                stop(x, r);
}

static void on_end(void *user, const char *name)
{
        struct reader *x = user;
        x->depth--;
        if (strcmp(name, "testcase") == 0)
                keep(x, &x->test, NULL);
        if (!x->in_failure || (strcmp(name, "failure") != 0 && strcmp(name, "error") != 0))
                return;
        x->in_failure = false;
        int r = tell(x);
        if (r < 0)
                stop(x, r);
}

static void on_doctype(void *user, const char *name, const char *system, const char *public, int internal)
{
        struct reader *x = user;
        (void)name;
        (void)system;
        (void)public;
        (void)internal;
        stop(x, err_set(x->e, ERR_RUN_FAILED, "a document type is not read"));
}

static int parse(struct reader *x, const void *data, size_t len)
{
        XML_SetUserData(x->parser, x);
        XML_SetElementHandler(x->parser, on_start, on_end);
        XML_SetCharacterDataHandler(x->parser, on_text);
        XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
        XML_SetHashSalt(x->parser, 1 + (unsigned long)(uintptr_t)data);
        if (XML_Parse(x->parser, data, (int)len, XML_TRUE) == XML_STATUS_OK || x->r < 0)
                return x->r;
        enum XML_Error why = XML_GetErrorCode(x->parser);
        if (why == XML_ERROR_NO_MEMORY)
                return err_nomem(x->e);
        return err_set(x->e, ERR_RUN_FAILED, "line %lu: %s", XML_GetCurrentLineNumber(x->parser), XML_ErrorString(why));
}

int junit_read(const struct junit_config *config, const void *data, size_t len, struct err *e)
{
        struct err own = ERR_INIT;
        struct reader x = {.config = config, .e = e ? e : &own};
        if (len > JUNIT_MAX_SIZE)
                return err_set(e, ERR_RUN_FAILED, "larger than %zu bytes", JUNIT_MAX_SIZE);
        x.parser = XML_ParserCreate(NULL);
        if (!x.parser)
                return err_nomem(e);
        int r = parse(&x, data, len);
        XML_ParserFree(x.parser);
        free(x.test);
        free(x.file);
        free(x.message);
        buf_done(&x.text);
        return r;
}
