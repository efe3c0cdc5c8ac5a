#include <stdio.h>

#include "base/err.h"
#include "test_user.h"
#include "vm/qemu.h"

int test_needs_qemu(void)
{
        const char *qemu;
        struct err err = ERR_INIT;

        if (qemu_program(&qemu, &err) == 0)
                return 0;
        fprintf(stderr, "skipped: %s\n", err.msg);
        return TEST_SKIPPED;
}
