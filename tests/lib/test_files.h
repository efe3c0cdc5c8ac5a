/* The files of a repository as a table, for tests of workflows that call each other. */
#pragma once

#include <string.h>

#include "base/buf.h"
#include "workflow/library.h"

struct test_file {
        const char *path, *text; /* path NULL ends the table */
};

static inline int test_files_read(void *user, const char *path, struct buf *ret, struct err *e)
{
        for (const struct test_file *f = user; f && f->path; f++)
                if (strcmp(f->path, path) == 0)
                        return buf_append(ret, f->text, strlen(f->text), e);
        return LIBRARY_E_MISSING;
}

static inline int test_files_library(const struct test_file *files, struct library **ret, struct err *e)
{
        const struct library_source source = {test_files_read, (void *)(uintptr_t)files};
        return library_new(&source, ret, e);
}
