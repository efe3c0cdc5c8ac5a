#include "cli/claim.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/str.h"
#include "pool/client.h"
#include "vm/image.h"
#include "vm/slot.h"

void claim_done(struct claim *c)
{
        vm_handle_done(&c->vm);
        /* Ours, but as long as the VM ends somebody lives there: whoever takes the slot next cleans it. */
        c->slot = slot_forget(c->slot);
}

/* The pool's words back into a report. What it does not name is unused; what we do not know is left out. */
static void read_report(const struct pool_answer *a, struct sandbox_report *ret)
{
        for (size_t i = 0; i < a->n_held; i++) {
                for (int p = 0; p < SANDBOX_PROTECTION_COUNT; p++) {
                        struct sandbox_held *to = &ret->held[p];

                        if (strcmp(a->held[i].name, sandbox_protection_name((enum sandbox_protection)p)) != 0)
                                continue;
                        to->state = SANDBOX_MISSING;
                        for (int s = SANDBOX_UNUSED; s <= SANDBOX_MISSING; s++)
                                if (strcmp(a->held[i].state, sandbox_state_name((enum sandbox_state)s)) == 0)
                                        to->state = (enum sandbox_state)s;
                        str_copy(to->why, sizeof(to->why), a->held[i].why);
                }
        }
}

static int take_answer(const char *state, const struct pool_answer *a, int fds[POOL_FD_COUNT], struct claim *ret,
                       struct err *e)
{
        int r = 0;

        ret->vm.control_fd = TAKE_FD(fds[POOL_FD_CONTROL]);
        ret->vm.channel_fd = TAKE_FD(fds[POOL_FD_CHANNEL]);
        ret->vm.lifeline_fd = TAKE_FD(fds[POOL_FD_LIFELINE]);
        ret->vm.leash_fd = TAKE_FD(fds[POOL_FD_LEASH]);
        ret->vm.log_fd = TAKE_FD(fds[POOL_FD_LOG]);
        ret->vm.jail_pidfd = TAKE_FD(fds[POOL_FD_JAIL]);
        ret->vm.jail_pid = a->vm.pid;
        ret->vm.origin = VM_PARKED;
        read_report(a, &ret->vm.report);
        if (ret->vm.jail_pidfd < 0 || a->adopt != (fds[POOL_FD_LOCK] >= 0))
                return err_set(e, ERR_PROTOCOL, "devdep-pool passed other descriptors than a VM has");
        if (a->adopt)
                r = slot_adopt(state, a->vm.slot, fds[POOL_FD_LOCK], &ret->slot, e);
        if (r == 0)
                fds[POOL_FD_LOCK] = -1;
        return r;
}

static int claim_from(const char *state, const struct pool_request *q, struct claim *ret, struct err *e)
{
        AUTO(auto_close) int fd = -1;
        struct pool_answer *a = calloc(1, sizeof(*a));
        int fds[POOL_FD_COUNT];

        if (!a)
                return err_nomem(e);
        int r = client_connect(state, &fd, e);
        if (r == CLIENT_E_NONE) {
                free(a);
                return CLAIM_E_NONE;
        }
        if (r == 0)
                r = client_ask(fd, q, a, fds, e);
        if (r == 0 && a->status == POOL_OK)
                r = take_answer(state, a, fds, ret, e);
        else if (r == 0)
                r = CLAIM_E_NONE;
        for (int i = 0; fd >= 0 && i < POOL_FD_COUNT; i++)
                fds[i] = fd_close(fds[i]);
        pool_answer_done(a);
        free(a);
        return r;
}

int claim_vm(const char *state, const struct image *im, enum vm_accel accel, const struct vm_shape *shape,
             struct claim *ret, struct err *e)
{
        struct pool_request q = {.verb = POOL_CLAIM, .class = {shape->vcpus, shape->memory, shape->scratch}};

        snprintf(q.image, sizeof(q.image), "%s@%s", im->name, im->digest);
        str_copy(q.accel, sizeof(q.accel), vm_accel_name(accel));
        int r = claim_from(state, &q, ret, e);
        if (r == CLAIM_E_NONE && strcmp(state, CLAIM_SYSTEM_STATE) != 0)
                r = claim_from(CLAIM_SYSTEM_STATE, &q, ret, e);
        if (r != 0)
                claim_done(ret);
        return r;
}
