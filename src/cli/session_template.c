/* What a session's guests are cloned from: the template on disk, made on first use. A host where that fails boots each
 * guest, with a warning: a template saves time and is no condition of a run. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/session_internal.h"

#define PROGRESS_MS 1500u /* between lines while a template is made */

struct making {
        struct session *session;
        const struct session_image *image;
        uint64_t told_ms;
};

/* While a template is made the session's loop does not run: its signals wait, blocked, to be taken here. */
static bool take_interrupt(struct session *s)
{
        static const struct timespec now = {0};
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        if (sigtimedwait(&set, NULL, &now) < 0)
                return false;
        s->interrupts++;
        return true;
}

static int on_tick(const char *what, uint64_t ms, void *user, struct err *e)
{
        struct making *m = user;
        char took[CLOCK_DURATION_SIZE];
        uint64_t now = clock_mono_ms();

        if (take_interrupt(m->session))
                return err_set(e, ERR_CANCELLED, "the making of a template was interrupted");
        if (str_eq(m->session->o.progress, "never") || now - m->told_ms < PROGRESS_MS)
                return 0;
        m->told_ms = now;
        clock_duration(ms, took);
        fprintf(stderr, "devdep-cli: the template of image %s: %s (%s)\n", m->image->image->name, what, took);
        return 0;
}

/* The clones of this command need no file: a full disk costs the next one a build. */
static int make(struct session *s, struct session_image *x, const struct template_want *want, const struct err *why,
                struct err *e)
{
        struct making m = {.session = s, .image = x, .told_ms = clock_mono_ms()};
        struct err unkept = ERR_INIT;

        fprintf(stderr, "devdep-cli: making a template of image %s, of which its guests are clones: %s\n",
                x->image->name, why->msg);
        int r = template_build(want, on_tick, &m, &x->template, &unkept, e);
        if (r == 0 && unkept.code != ERR_SUCCESS)
                log_warning("the template is not kept: %s", unkept.msg);
        return r;
}

/* A driver without templates, and a door whose connection would not survive, need no words: that is how they are. */
static bool is_possible(const struct session *s, const struct session_image *x)
{
        return !s->o.cold && !x->door.vsock && template_supported(s->o.driver, NULL) == 0;
}

static struct template_want want_of(const struct session *s, const struct session_image *x)
{
        return (struct template_want){.state = s->launch.store.state,
                                      .driver = s->o.driver,
                                      .image = x->image,
                                      .accel = x->probe.accel,
                                      .shape = s->o.shape};
}

/* Without a template guests are booted; an interrupt is none of its failures. */
static int go_without(const struct session_image *x, const struct err *failed, struct err *e)
{
        if (failed->code == ERR_CANCELLED)
                return err_set(e, failed->code, "%s", failed->msg);
        log_warning("no template of image %s, its guests are booted: %s", x->image->name, failed->msg);
        return 0;
}

int session_template(struct session *s, struct session_image *x, struct err *e)
{
        const struct template_want want = want_of(s, x);
        struct err why = ERR_INIT, failed = ERR_INIT;

        if (x->template_sought || !is_possible(s, x))
                return 0;
        x->template_sought = true;
        int r = template_begin(&want, &x->template, &why, &failed);
        if (r == TEMPLATE_E_MISSING)
                r = make(s, x, &want, &why, &failed);
        return r < 0 ? go_without(x, &failed, e) : 0;
}

int session_template_again(struct session *s, struct session_image *x, const struct err *why, struct err *e)
{
        const struct template_want want = want_of(s, x);
        struct err failed = ERR_INIT;

        return make(s, x, &want, why, &failed) < 0 ? go_without(x, &failed, e) : 0;
}
