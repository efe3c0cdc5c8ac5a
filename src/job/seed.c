#include "job/seed.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/secret.h"

/* A random UUID, version 4, as /proc/sys/kernel/random/boot_id has it. */
static void uuid_text(char ret[37])
{
        uint8_t id[16];
        char hex[33];
        secret_random(id, sizeof(id));
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
        num_to_hex(id, sizeof(id), hex);
        snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static int add_identity(struct buf *b, const char *hostname, struct err *e)
{
        uint8_t id[16];
        char machine[33], boot[37];
        secret_random(id, sizeof(id));
        num_to_hex(id, sizeof(id), machine);
        uuid_text(boot);
        int r = fields_add_str(b, "machine_id", machine, e);
        if (r == 0)
                r = fields_add_str(b, "boot_id", boot, e);
        if (r == 0)
                r = fields_add_str(b, "hostname", hostname, e);
        return r < 0 ? r : fields_add_u64(b, "time_ns", clock_real_ns(), e);
}

int seed_build(const struct seed_wish *w, uint8_t ret_nonce[GUEST_NONCE_SIZE], struct buf *ret, struct err *e)
{
        uint8_t entropy[GUEST_ENTROPY_SIZE];
        size_t mark;
        secret_random(entropy, sizeof(entropy));
        secret_random(ret_nonce, GUEST_NONCE_SIZE);
        int r = fields_begin(ret, &mark, e);
        if (r == 0)
                r = fields_add_str(ret, "op", "seed", e);
        if (r == 0)
                r = fields_add(ret, "entropy", entropy, sizeof(entropy), e);
        if (r == 0)
                r = fields_add(ret, "nonce", ret_nonce, GUEST_NONCE_SIZE, e);
        if (r == 0 && w->rootfs)
                r = fields_add_str(ret, "rootfs", w->rootfs, e);
        if (r == 0 && w->pids)
                r = fields_add_u64(ret, "pids", w->pids, e);
        if (r == 0)
                r = add_identity(ret, w->hostname, e);
        secret_wipe(entropy, sizeof(entropy));
        return r < 0 ? r : fields_end(ret, mark, e);
}
