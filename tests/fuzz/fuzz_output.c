/* A step's output: the first byte says how the rest is cut; the same text in one piece must leave the same bytes
 * masked. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "job/journal.h"
#include "job/mask.h"
#include "job/output.h"
#include "workflow/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "s3cr3t"

static int on_command(const struct command *c, void *user, struct err *e)
{
        return c->kind == COMMAND_ADD_MASK && c->data && masks_add(user, c->data, strlen(c->data), e) < 0 ? -1 : 0;
}

static void check(int fd)
{
        static char text[1 << 20];
        ssize_t n = pread(fd, text, sizeof(text), 0);
        if (n > 0 && memmem(text, (size_t)n, SECRET, strlen(SECRET)))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct masks *masks = NULL;
        struct journal *journal = NULL;
        struct output *output = NULL;
        struct err e = ERR_INIT;
        int fd = -1;
        if (size < 1 || fd_memfd("journal", &fd, &e) < 0)
                return 0;
        size_t step = data[0] % 64 + 1u;
        if (masks_new(&masks, &e) < 0 || masks_add(masks, SECRET, strlen(SECRET), &e) < 0 ||
            journal_new(fd, masks, &journal, &e) < 0)
                abort();
        const struct output_config config = {.journal = journal, .masks = masks, .command = on_command, .user = masks};
        if (output_new(&config, &output, &e) < 0)
                abort();
        for (size_t at = 1; at < size; at += step)
                output_feed(output, at / step % 3 == 0 ? OUTPUT_ERR : OUTPUT_OUT, data + at,
                            at + step < size ? step : size - at, &e);
        output_finish(output, &e);
        check(fd);
        output_free(output);
        journal_free(journal);
        masks_free(masks);
        close(fd);
        return 0;
}
