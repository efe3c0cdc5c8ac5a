/* devdep.yaml: parsed, rendered when refused; what is accepted keeps every limit, in each of its environments. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/diag.h"
#include "net/policy_entry.h"
#include "profile/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_secrets(const struct profile *p)
{
        const struct profile_secret *s = p->secrets.v;

        assert(p->secrets.n <= PROFILE_MAX_SECRETS);
        assert(p->secrets.n == 0 || p->egress.reach.value != PROFILE_AUDIT);
        for (size_t i = 0; i < p->secrets.n; i++) {
                assert(strlen(s[i].name.text) <= PROFILE_MAX_NAME && !strpbrk(s[i].name.text, "/.%?#\n"));
                assert(strchr(s[i].ref.text, '#') && !strstr(s[i].ref.text, "../") && !strpbrk(s[i].ref.text, "%?\n"));
        }
}

static void check_egress(const struct profile *p)
{
        const struct profile_str *allowed = p->egress.allow.v;
        struct policy_entry entry;

        for (size_t i = 0; i < p->egress.allow.n; i++)
                assert(policy_entry_parse(allowed[i].text, &entry, NULL) == 0);
}

static void check(const struct profile *p)
{
        assert(p->entity.text && p->domain.text);
        assert(!p->memory.pos.line || (p->memory.value >= PROFILE_MIN_MEMORY && p->memory.value <= PROFILE_MAX_MEMORY));
        assert(!p->scratch.pos.line ||
               (p->scratch.value >= PROFILE_MIN_SCRATCH && p->scratch.value <= PROFILE_MAX_SCRATCH));
        assert(p->vcpus.value <= PROFILE_MAX_VCPUS && p->pids.value <= PROFILE_MAX_PIDS);
        assert(p->timeout.value <= PROFILE_MAX_TIMEOUT_MS);
        assert(p->hooks.before.n <= PROFILE_MAX_HOOKS && p->hooks.after.n <= PROFILE_MAX_HOOKS);
        assert(!p->workflow.text || (p->workflow.text[0] != '/' && !strstr(p->workflow.text, "../")));
        assert(!p->vault.pos.line || p->vault.endpoint.text);
        check_secrets(p);
        check_egress(p);
}

static void check_environments(const uint8_t *data, size_t size, const struct profile *p, struct err *e)
{
        const struct profile_environment *v = p->environments.v;

        assert(p->environments.n <= PROFILE_MAX_ENVIRONMENTS);
        for (size_t i = 0; i < p->environments.n && i < 3; i++) {
                AUTO(diag_freep) struct diag_list *problems = NULL;
                AUTO(profile_freep) struct profile *merged = NULL;
                assert(diag_new("devdep.yaml", &problems, e) == 0);
                assert(profile_parse(data, size, v[i].name.text, problems, &merged, e) == 0);
                check(merged);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(profile_freep) struct profile *p = NULL;
        AUTO(buf_done) struct buf out = BUF_INIT;
        struct err e = ERR_INIT;

        assert(diag_new("devdep.yaml", &problems, &e) == 0);
        int r = profile_parse(data, size, NULL, problems, &p, &e);
        assert(r == 0 || (r == PROFILE_E_INVALID && diag_errors(problems) > 0));
        (void)profile_is_one(data, size);
        if (r == 0) {
                check(p);
                check_environments(data, size, p, &e);
        }
        assert(diag_render(problems, (const char *)data, size, &out, &e) == 0);
        assert(!memchr(out.data ? out.data : data, '\x1b', out.len));
        return 0;
}
