/* Workflow commands: the input is cut into lines that one parser reads in order. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "workflow/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct command *c)
{
        assert(c->kind <= COMMAND_SET_OUTPUT);
        assert((c->problem == COMMAND_PROBLEM_NONE) == (c->message == NULL));
        assert((c->kind == COMMAND_NONE || c->kind == COMMAND_RESUME) == (c->data == NULL));
        bool annotation = c->kind == COMMAND_ERROR || c->kind == COMMAND_WARNING || c->kind == COMMAND_NOTICE;
        if (annotation && c->end_line)
                assert(c->line && c->line <= c->end_line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct command_parser parser;
        const char *at = (const char *)data, *end = at + size;
        command_parser_init(&parser);
        while (at < end) {
                const char *stop = memchr(at, '\n', (size_t)(end - at));
                size_t len = (size_t)((stop ? stop : end) - at);
                struct command c;
                assert(command_parse(&parser, at, len, &c, NULL) == 0);
                check(&c);
                command_done(&c);
                at += len + 1;
        }
        return 0;
}
