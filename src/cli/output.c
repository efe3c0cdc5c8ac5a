#include "cli/output.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/err.h"
#include "base/num.h"

int output_json(struct json_t *document, struct err *e)
{
        if (!document)
                return err_nomem(e);
        int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

        json_decref(document);
        putchar('\n');
        if (failed != 0 || fflush(stdout) != 0)
                return err_errno(e, ERR_RESOURCES, errno, "write to standard output");
        return 0;
}

void output_size(uint64_t bytes, char ret[OUTPUT_SIZE_TEXT])
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        size_t unit = 0;
        double value = (double)bytes;

        for (; value >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
                value /= 1024;
        snprintf(ret, OUTPUT_SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
