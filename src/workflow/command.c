#include "workflow/command.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

/* What GitHub does with a command line itself: shown always, never, or when `echo` is on. */
enum echo { ECHO_ALWAYS, ECHO_WHEN_ON, ECHO_NEVER };

static const struct {
        const char *name;
        enum command_kind kind;
        enum echo echo;
} commands[] = {
        {"error", COMMAND_ERROR, ECHO_NEVER},
        {"warning", COMMAND_WARNING, ECHO_NEVER},
        {"notice", COMMAND_NOTICE, ECHO_NEVER},
        {"debug", COMMAND_DEBUG, ECHO_NEVER},
        {"group", COMMAND_GROUP, ECHO_WHEN_ON},
        {"endgroup", COMMAND_ENDGROUP, ECHO_WHEN_ON},
        {"add-mask", COMMAND_ADD_MASK, ECHO_NEVER},
        {"stop-commands", COMMAND_STOP, ECHO_ALWAYS},
        {"echo", COMMAND_ECHO, ECHO_WHEN_ON},
        {"save-state", COMMAND_SAVE_STATE, ECHO_WHEN_ON},
        {"add-matcher", COMMAND_ADD_MATCHER, ECHO_WHEN_ON},
        {"remove-matcher", COMMAND_REMOVE_MATCHER, ECHO_WHEN_ON},
        {"add-path", COMMAND_ADD_PATH, ECHO_WHEN_ON},
        {"set-env", COMMAND_SET_ENV, ECHO_WHEN_ON},
        {"set-output", COMMAND_SET_OUTPUT, ECHO_WHEN_ON},
};

struct escape {
        const char *text;
        char c;
};

/* Which escapes are undone where. %25 is undone in the same pass, so "%250A" gives "%0A". */
static const struct escape data_escapes[] = {{"%0D", '\r'}, {"%0A", '\n'}, {"%25", '%'}, {0}};
static const struct escape property_escapes[] = {{"%0D", '\r'}, {"%0A", '\n'}, {"%3A", ':'},
                                                 {"%2C", ','},  {"%25", '%'},  {0}};
static const struct escape old_escapes[] = {{"%3B", ';'}, {"%0D", '\r'}, {"%0A", '\n'},
                                            {"%5D", ']'}, {"%25", '%'},  {0}};

/* A command line taken apart; everything points into the line. */
struct parts {
        const char *name, *properties, *data;
        size_t name_len, properties_len, data_len;
        char separator; /* between properties */
        const struct escape *property_escapes, *data_escapes;
};

void command_parser_init(struct command_parser *p)
{
        *p = (struct command_parser){0};
}

void command_done(struct command *c)
{
        free(c->data);
        free(c->file);
        free(c->title);
        free(c->name);
        *c = (struct command){0};
}

static char *unescape(const char *s, size_t len, const struct escape *escapes)
{
        char *out = malloc(len + 1);
        size_t n = 0;
        for (size_t i = 0; out && i < len;) {
                const struct escape *x = escapes;
                while (x->text && (len - i < 3 || memcmp(s + i, x->text, 3) != 0))
                        x++;
                out[n++] = x->text ? x->c : s[i];
                i += x->text ? 3 : 1;
        }
        if (out)
                out[n] = '\0';
        return out;
}

/* Name and properties: "error file=a.c,line=3". */
static void split_info(const char *info, size_t len, struct parts *ret)
{
        const char *space = memchr(info, ' ', len);
        ret->name = info;
        ret->name_len = space ? (size_t)(space - info) : len;
        ret->properties = space ? space + 1 : info + len;
        ret->properties_len = (size_t)(info + len - ret->properties);
        if (space == info)
                ret->properties_len = 0;
}

/* `::name properties::data`, after blanks only. */
static bool split_new(const char *line, size_t len, struct parts *ret)
{
        while (len && strchr(" \t\r\n\v\f", *line)) {
                line++;
                len--;
        }
        if (len < 4 || memcmp(line, "::", 2) != 0)
                return false;
        const char *end = memmem(line + 2, len - 2, "::", 2);
        if (!end)
                return false;
        *ret = (struct parts){.separator = ',', .property_escapes = property_escapes, .data_escapes = data_escapes};
        split_info(line + 2, (size_t)(end - line) - 2, ret);
        while (ret->properties_len && *ret->properties == ' ') {
                ret->properties++;
                ret->properties_len--;
        }
        while (ret->properties_len && ret->properties[ret->properties_len - 1] == ' ')
                ret->properties_len--;
        ret->data = end + 2;
        ret->data_len = (size_t)(line + len - ret->data);
        return true;
}

/* `##[name properties]data`, anywhere in the line. */
static bool split_old(const char *line, size_t len, struct parts *ret)
{
        const char *start = memmem(line, len, "##[", 3);
        const char *end = start ? memchr(start, ']', (size_t)(line + len - start)) : NULL;
        if (!end)
                return false;
        *ret = (struct parts){.separator = ';', .property_escapes = old_escapes, .data_escapes = old_escapes};
        split_info(start + 3, (size_t)(end - start) - 3, ret);
        ret->data = end + 1;
        ret->data_len = (size_t)(line + len - ret->data);
        return true;
}

static int find_command(const struct parts *p)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (strlen(commands[i].name) == p->name_len && strncasecmp(commands[i].name, p->name, p->name_len) == 0)
                        return (int)i;
        return -1;
}

static bool is_token(const struct command_parser *p, const struct parts *parts)
{
        return p->stop_token[0] && strlen(p->stop_token) == parts->name_len &&
               strncasecmp(p->stop_token, parts->name, parts->name_len) == 0;
}

static bool is_property(const char *name, size_t len, const char *wanted)
{
        return strlen(wanted) == len && strncasecmp(name, wanted, len) == 0;
}

static unsigned to_number(const char *s)
{
        uint64_t n;
        return s && num_u64(s, 0, INT32_MAX, "number", &n, NULL) == 0 ? (unsigned)n : 0;
}

/* Put a property where it belongs; takes value. */
static void set_property(struct command *c, const char *name, size_t len, char *value)
{
        AUTO(auto_free) char *held = value;
        char **text = is_property(name, len, "file")                                      ? &c->file
                      : is_property(name, len, "title")                                   ? &c->title
                      : is_property(name, len, "name") || is_property(name, len, "owner") ? &c->name
                                                                                          : NULL;
        unsigned *number = is_property(name, len, "line")        ? &c->line
                           : is_property(name, len, "endLine")   ? &c->end_line
                           : is_property(name, len, "col")       ? &c->column
                           : is_property(name, len, "endColumn") ? &c->end_column
                                                                 : NULL;
        if (number)
                *number = to_number(value);
        if (text) {
                free(*text);
                *text = TAKE_PTR(held);
        }
}

static int read_properties(const struct parts *p, struct command *ret, struct err *e)
{
        const char *at = p->properties, *end = at + p->properties_len;
        while (at < end) {
                const char *stop = memchr(at, p->separator, (size_t)(end - at));
                if (!stop)
                        stop = end;
                const char *from = at;
                while (from < stop && *from == '=') /* empty parts of the split at '=' are dropped */
                        from++;
                const char *equals = memchr(from, '=', (size_t)(stop - from));
                if (equals && equals + 1 < stop) {
                        char *value = unescape(equals + 1, (size_t)(stop - equals) - 1, p->property_escapes);
                        if (!value)
                                return err_nomem(e);
                        set_property(ret, from, (size_t)(equals - from), value);
                }
                at = stop + 1;
        }
        return 0;
}

/* GitHub's corrections of places that make no sense. */
static void check_place(struct command *c)
{
        bool had_column = c->column || c->end_column;
        if (c->end_line && !c->line)
                c->line = c->end_line;
        if (c->end_column && !c->column)
                c->column = c->end_column;
        bool other_line = c->end_line && c->line != c->end_line;
        if ((!c->line && had_column) || (other_line && had_column) || (c->end_column && c->end_column < c->column))
                c->column = c->end_column = 0;
        if (c->end_line && c->end_line < c->line)
                c->line = c->end_line = 0;
}

static void problem(struct command *c, enum command_problem kind, const char *message)
{
        c->problem = kind;
        c->message = message;
}

static void refuse_disabled(struct command *c)
{
        problem(c, COMMAND_PROBLEM_ERROR,
                c->kind == COMMAND_SET_ENV
                        ? "The `set-env` command is disabled. Please upgrade to using Environment Files (GITHUB_ENV)"
                        : "The `add-path` command is disabled. Please upgrade to using Environment Files "
                          "(GITHUB_PATH)");
}

static void check_named(struct command *c)
{
        bool output = c->kind == COMMAND_SET_OUTPUT;
        if (!c->name || !*c->name) {
                problem(c, COMMAND_PROBLEM_ERROR,
                        output ? "Required field 'name' is missing in ##[set-output] command."
                               : "Required field 'name' is missing in ##[save-state] command.");
                return;
        }
        problem(c, COMMAND_PROBLEM_WARNING,
                output ? "The `set-output` command is deprecated and will be disabled soon. Please upgrade to using "
                         "Environment Files (GITHUB_OUTPUT)"
                       : "The `save-state` command is deprecated and will be disabled soon. Please upgrade to using "
                         "Environment Files (GITHUB_STATE)");
}

static void check_echo(struct command_parser *p, struct command *c)
{
        const char *s = c->data + strspn(c->data, " \t");
        size_t len = strcspn(s, " \t");
        if (s[len + strspn(s + len, " \t")] != '\0')
                len = 0;
        if (is_property(s, len, "on"))
                p->echo = true;
        else if (is_property(s, len, "off"))
                p->echo = false;
        else
                problem(c, COMMAND_PROBLEM_ERROR, "Invalid echo command value. Possible values can be: 'on', 'off'.");
}

static void check_stop(struct command_parser *p, struct command *c)
{
        struct parts token = {.name = c->data, .name_len = strlen(c->data)};
        if (!token.name_len || str_ieq(c->data, "pause-logging") || find_command(&token) >= 0)
                problem(c, COMMAND_PROBLEM_ERROR,
                        "You cannot use a endToken that is an empty string, the string 'pause-logging', or another "
                        "workflow "
                        "command.");
        else if (!str_copy(p->stop_token, sizeof(p->stop_token), c->data)) {
                p->stop_token[0] = '\0';
                problem(c, COMMAND_PROBLEM_ERROR,
                        "The endToken is longer than the limit of 1023 bytes (COMMAND_MAX_TOKEN).");
        }
}

static void check_matcher(struct command *c)
{
        bool owner = c->name && *c->name, file = *c->data;
        if (c->kind == COMMAND_ADD_MATCHER && !file)
                problem(c, COMMAND_PROBLEM_WARNING, "File path must be specified.");
        if (c->kind == COMMAND_REMOVE_MATCHER && owner && file)
                problem(c, COMMAND_PROBLEM_WARNING,
                        "Either specify an owner name or a file path in ##[remove-matcher] command. Both values cannot "
                        "be set.");
        if (c->kind == COMMAND_REMOVE_MATCHER && !owner && !file)
                problem(c, COMMAND_PROBLEM_WARNING,
                        "Either an owner name or a file path must be specified in ##[remove-matcher] command.");
}

static void check(struct command_parser *p, struct command *c)
{
        switch (c->kind) {
        case COMMAND_ERROR:
        case COMMAND_WARNING:
        case COMMAND_NOTICE:
                check_place(c);
                break;
        case COMMAND_ADD_MASK:
                if (!c->data[strspn(c->data, " \t\r\n\v\f")])
                        problem(c, COMMAND_PROBLEM_WARNING,
                                "Can't add secret mask for empty string in ##[add-mask] command.");
                break;
        case COMMAND_STOP:
                check_stop(p, c);
                break;
        case COMMAND_ECHO:
                check_echo(p, c);
                break;
        case COMMAND_SAVE_STATE:
        case COMMAND_SET_OUTPUT:
                check_named(c);
                break;
        case COMMAND_ADD_PATH:
        case COMMAND_SET_ENV:
                refuse_disabled(c);
                break;
        case COMMAND_ADD_MATCHER:
        case COMMAND_REMOVE_MATCHER:
                check_matcher(c);
                break;
        case COMMAND_NONE:
        case COMMAND_DEBUG:
        case COMMAND_GROUP:
        case COMMAND_ENDGROUP:
        case COMMAND_RESUME:
                break;
        }
}

/* Is the line a command in one of the two forms, given which names are known now? */
static bool split(const struct command_parser *p, const char *line, size_t len, struct parts *ret)
{
        if (split_new(line, len, ret) && (find_command(ret) >= 0 || is_token(p, ret)))
                return true;
        return split_old(line, len, ret) && (find_command(ret) >= 0 || is_token(p, ret));
}

int command_parse(struct command_parser *p, const char *line, size_t len, struct command *ret, struct err *e)
{
        struct parts parts;
        *ret = (struct command){.kind = COMMAND_NONE, .echo = true};
        if (len && line[len - 1] == '\r')
                len--;
        if (len > COMMAND_MAX_LINE || memchr(line, '\0', len) || !split(p, line, len, &parts))
                return 0;
        if (p->stop_token[0]) {
                if (is_token(p, &parts)) {
                        p->stop_token[0] = '\0';
                        ret->kind = COMMAND_RESUME;
                }
                return 0;
        }
        int which = find_command(&parts);
        ret->kind = commands[which].kind;
        ret->echo = commands[which].echo == ECHO_ALWAYS || (commands[which].echo == ECHO_WHEN_ON && p->echo);
        ret->data = unescape(parts.data, parts.data_len, parts.data_escapes);
        int r = ret->data ? read_properties(&parts, ret, e) : err_nomem(e);
        if (r < 0)
                command_done(ret);
        else
                check(p, ret);
        return r;
}
