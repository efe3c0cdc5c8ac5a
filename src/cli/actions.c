#include "cli/actions.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/str.h"
#include "cli/actions_conf.h"
#include "codec/diag.h"
#include "codec/uses.h"
#include "source/ask.h"
#include "source/names.h"
#include "source/pins.h"
#include "vm/slot.h"
#include "workflow/action.h"
#include "workflow/plan.h"

#define SYSTEM_CONF "/etc/devdep/actions.conf"
#define MAX_DEPTH 10u /* of actions that use actions, as at GitHub */

/* ---- where it is ---- */

/* FS_E_MISSING: there is no such file. */
static int read_conf(const char *path, char **ret, struct err *e)
{
        AUTO(buf_done) struct buf text = BUF_INIT;
        int r = fs_read(path, ACTIONS_MAX_CONF, &text, e);
        return r ? r : actions_conf_parse(text.data, text.len, path, ret, e);
}

int actions_path(const char *state, const char *dir, char **ret, char **ret_origin, struct err *e)
{
        AUTO(auto_free) char *own = fs_join(state, "actions.conf");
        const char *const files[] = {own, SYSTEM_CONF};
        if (!own)
                return err_nomem(e);
        if (dir) {
                *ret = str_dup(dir);
                *ret_origin = str_dup("--actions");
                return *ret && *ret_origin ? 0 : err_nomem(e);
        }
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                int r = read_conf(files[i], ret, e);
                if (r == FS_E_MISSING)
                        continue;
                if (r < 0)
                        return r;
                *ret_origin = str_dup(files[i]);
                return *ret_origin ? 0 : err_nomem(e);
        }
        *ret = fs_join(state, "actions");
        return *ret ? 0 : err_nomem(e);
}

int actions_read_pins(const char *folder, struct buf *ret_text, struct pins **ret, struct err *e)
{
        AUTO(auto_free) char *path = fs_join(folder, "pins");
        if (!path)
                return err_nomem(e);
        int r = fs_read(path, PINS_MAX_SIZE, ret_text, e);
        return r < 0 ? r : pins_parse(ret_text->data, ret_text->len, path, ret, e);
}

int actions_open(const char *state, const char *dir, struct actions *ret, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        *ret = (struct actions){.text = BUF_INIT, .state = state};
        int r = actions_path(state, dir, &path, &ret->origin, e);
        if (r < 0)
                return r;
        ret->folder = realpath(path, NULL);
        if (!ret->folder && !ret->origin && errno == ENOENT)
                return 0; /* nobody made one */
        if (!ret->folder)
                return err_errno(e, ERR_USAGE, errno, "%s: the mirror of actions %s",
                                 ret->origin ? ret->origin : "STATE", path);
        return actions_read_pins(ret->folder, &ret->text, &ret->pins, e);
}

void actions_end_asking(struct actions *a)
{
        a->asker = source_asker_free(a->asker);
        a->slot = slot_release(a->slot);
}

void actions_done(struct actions *a)
{
        actions_end_asking(a);
        free(a->folder);
        free(a->origin);
        buf_done(&a->text);
        pins_free(a->pins);
        map_free(a->checked);
        *a = (struct actions)ACTIONS_INIT;
}

/* ---- is it there ---- */

static int ask(struct actions *a, const struct uses *u, struct source_action_own *ret, struct err *e)
{
        struct source_start start = SOURCE_START_INIT;
        int r = a->asker ? 0 : slot_take(a->state, &a->slot, e);
        if (r == 0 && !a->asker) {
                start.mirror = a->folder;
                start.pins = a->text.data;
                start.n_pins = a->text.len;
                start.uid = start.gid = a->slot->uid[SLOT_SOURCE];
                start.scratch = a->slot->path;
                r = source_asker_new(&start, &a->asker, e);
        }
        return r < 0 ? r : source_asker_action(a->asker, u->repository, u->ref, u->path, ret, e);
}

/* Cut where it is longer than a person reads. */
static int refuse(struct plan_refusal *ret, const char *hint, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse(struct plan_refusal *ret, const char *hint, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(ret->message, sizeof(ret->message), fmt, ap);
        va_end(ap);
        str_copy(ret->hint, sizeof(ret->hint), hint);
        return PLAN_ACTION_E_REFUSED;
}

static int refuse_missing(const struct uses *u, const char *why, struct plan_refusal *ret)
{
        char hint[sizeof(ret->hint)];
        snprintf(hint, sizeof(hint), "add it to the mirror: devdep-cli actions add FOLDER-OR-REPOSITORY %s --%s %s",
                 u->repository, oid_is_valid(u->ref, 40) ? "commit" : "pin", u->ref);
        return refuse(ret, hint, "the action cannot be had: %s", why);
}

static int check(struct actions *a, const struct uses *u, unsigned depth, struct plan_refusal *ret, struct err *e);

/* A step of a composite action. What it names below its own workspace nobody knows yet. */
static int check_step(struct actions *a, const struct wf_step *s, const char *where, unsigned depth,
                      struct plan_refusal *ret, struct err *e)
{
        struct err why = ERR_INIT;
        struct uses u;
        int r = 0;
        if (s->kind != WF_STEP_USES)
                return 0;
        if (uses_parse(s->uses.text, &u, &why) < 0)
                r = refuse(ret, "ask the author of the action", "%s", why.msg);
        else if (u.kind == USES_DOCKER)
                r = refuse(ret, "use another action, or none", "a Docker action cannot run in a microVM");
        else if (u.kind == USES_REMOTE && !plan_builtin_of(&u))
                r = check(a, &u, depth + 1, ret, e);
        uses_done(&u);
        if (r != PLAN_ACTION_E_REFUSED)
                return r;
        const struct plan_refusal inner = *ret;
        return refuse(ret, inner.hint, "%s:%u:%u: %s", where, s->uses.pos.line, s->uses.pos.column, inner.message);
}

static int check_manifest(struct actions *a, const struct source_action_own *x, const char *where, unsigned depth,
                          struct plan_refusal *ret, struct err *e)
{
        AUTO(diag_freep) struct diag_list *problems = NULL;
        AUTO(action_freep) struct action *action = NULL;
        struct err first = ERR_INIT;
        int r = diag_new(where, &problems, e);
        if (r == 0)
                r = action_parse(where, x->manifest.data, x->manifest.len, problems, &action, e);
        if (r == ACTION_E_INVALID) {
                diag_to_err(problems, &first);
                return refuse(ret, "pin another commit of the action", "%s", first.msg);
        }
        if (r == 0 && action->kind == ACTION_DOCKER)
                return refuse(ret, "install the tool in the image or in a step, and call it with `run`",
                              "a Docker action cannot run in a microVM");
        for (size_t i = 0; r == 0 && i < action->n_steps; i++)
                r = check_step(a, &action->steps[i], where, depth, ret, e);
        return r;
}

static int ask_and_check(struct actions *a, const struct uses *u, unsigned depth, struct plan_refusal *ret,
                         struct err *e)
{
        struct source_action_own x = {.manifest = BUF_INIT};
        struct err why = ERR_INIT;
        int r = ask(a, u, &x, &why);
        if (r < 0 && why.code == ERR_USAGE)
                return refuse_missing(u, why.msg, ret);
        if (r < 0) {
                *e = why;
                return r;
        }
        AUTO(auto_free)
        char *where = str_printf("%s@%s/%s%s%s", u->repository, u->ref, u->path, *u->path ? "/" : "", x.file);
        r = where ? check_manifest(a, &x, where, depth, ret, e) : err_nomem(e);
        source_action_done(&x);
        return r;
}

/* Each is looked at once, so that actions which use each other many times cost what they are. */
static int check(struct actions *a, const struct uses *u, unsigned depth, struct plan_refusal *ret, struct err *e)
{
        AUTO(auto_free) char *key = str_printf("%s/%s@%s", u->repository, u->path, u->ref);
        if (!key)
                return err_nomem(e);
        if (!a->folder)
                return refuse_missing(u, "there is no mirror of actions", ret);
        if (depth > MAX_DEPTH)
                return refuse(ret, "pin another action", "actions that use actions, more than %u levels deep",
                              MAX_DEPTH);
        if (map_get(a->checked, key))
                return 0;
        int r = ask_and_check(a, u, depth, ret, e);
        return r ? r : map_set(a->checked, key, a, e);
}

int actions_check(const struct uses *u, void *user, struct plan_refusal *ret, struct err *e)
{
        struct actions *a = user;
        int r = a->checked ? 0 : map_new(NULL, &a->checked, e);
        return r < 0 ? r : check(a, u, 1, ret, e);
}
