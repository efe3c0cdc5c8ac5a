#include "guest/seed.h"

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "guest/cgroup.h"

#include <string.h>

#define MAX_TIME_NS ((uint64_t)1 << 62)

static int bytes_of(const struct fields *f, const char *key, uint8_t *ret, size_t len, struct err *e)
{
        const struct field *field = fields_get(f, key);
        if (!field || field->len != len)
                return err_set(e, ERR_PROTOCOL, "seed: expected %s of %zu bytes", key, len);
        memcpy(ret, field->value, len);
        return 0;
}

/* Text whose bytes are all in `allowed`, min to max of them. */
static int text_of(const struct fields *f, const char *key, const char *allowed, size_t min, size_t max, char *ret,
                   struct err *e)
{
        const char *value;
        int r = fields_str(f, key, &value, e);
        if (r < 0)
                return r;
        size_t len = strlen(value);
        if (len < min || len > max || strspn(value, allowed) != len)
                return err_set(e, ERR_PROTOCOL, "seed: %s is not what it has to be", key);
        memcpy(ret, value, len + 1);
        return 0;
}

static int hostname_of(const struct fields *f, char *ret, struct err *e)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
        int r = text_of(f, "hostname", allowed, 1, SEED_MAX_HOSTNAME, ret, e);
        if (r == 0 && (ret[0] == '-' || ret[0] == '.'))
                r = err_set(e, ERR_PROTOCOL, "seed: a hostname begins with a letter or a digit");
        return r;
}

static int boot_id_of(const struct fields *f, char *ret, struct err *e)
{
        int r = text_of(f, "boot_id", "0123456789abcdef-", SEED_BOOT_ID, SEED_BOOT_ID, ret, e);
        for (size_t i = 0; r == 0 && i < SEED_BOOT_ID; i++)
                if ((ret[i] == '-') != (i == 8 || i == 13 || i == 18 || i == 23))
                        r = err_set(e, ERR_PROTOCOL, "seed: boot_id is not a UUID");
        return r;
}

static int rootfs_of(const struct fields *f, bool first, bool *ret_read_only, struct err *e)
{
        const char *value;
        if (!first && fields_get(f, "rootfs"))
                return err_set(e, ERR_PROTOCOL, "seed: only the first one chooses rootfs");
        int r = fields_str_opt(f, "rootfs", "overlay", &value, e);
        if (r == 0 && !str_eq(value, "overlay") && !str_eq(value, "read-only"))
                r = err_set(e, ERR_PROTOCOL, "seed: expected rootfs 'overlay' or 'read-only'");
        *ret_read_only = r == 0 && str_eq(value, "read-only");
        return r;
}

void seed_wipe(struct seed *s)
{
        secret_wipe(s, sizeof(*s));
}

static int pids_of(const struct fields *f, uint32_t *ret, struct err *e)
{
        uint64_t pids = 0;
        int r = fields_u64_opt(f, "pids", 0, CGROUP_MAX_PIDS, &pids, e);
        if (r == 0 && pids == 0 && fields_get(f, "pids"))
                r = err_set(e, ERR_PROTOCOL, "seed: pids: expected a number above 0");
        *ret = (uint32_t)pids;
        return r;
}

int seed_parse(const struct fields *f, bool first, struct seed *ret, struct err *e)
{
        *ret = (struct seed){0};
        int r = bytes_of(f, "entropy", ret->entropy, sizeof(ret->entropy), e);
        r = r < 0 ? r : bytes_of(f, "nonce", ret->nonce, sizeof(ret->nonce), e);
        r = r < 0 ? r : fields_u64(f, "time_ns", MAX_TIME_NS, &ret->time_ns, e);
        r = r < 0 ? r
                  : text_of(f, "machine_id", "0123456789abcdef", SEED_MACHINE_ID, SEED_MACHINE_ID, ret->machine_id, e);
        r = r < 0 ? r : boot_id_of(f, ret->boot_id, e);
        r = r < 0 ? r : hostname_of(f, ret->hostname, e);
        r = r < 0 ? r : pids_of(f, &ret->pids, e);
        return r < 0 ? r : rootfs_of(f, first, &ret->read_only, e);
}
