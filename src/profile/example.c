/* The commented file that `devdep-cli init` writes, from the same table as the parser: each key with what it is for and
 * an example, commented out. With the comment signs taken away it is a valid file, too. */
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "profile/fields.h"
#include "profile/measure.h"
#include "profile/patterns.h"
#include "profile/profile.h"

#define WIDTH 100 /* columns of a comment */

/* A sentence as lines that begin with `margin`. */
static int append_comment(struct buf *ret, const char *margin, const char *text, struct err *e)
{
        while (*text) {
                size_t room = WIDTH - strlen(margin), len = strlen(text);

                if (len > room)
                        for (len = room; len > 0 && text[len] != ' ';)
                                len--;
                if (buf_printf(ret, e, "%s%.*s\n", margin, (int)len, text) < 0)
                        return -1;
                text += len;
                text += strspn(text, " ");
        }
        return 0;
}

/* " value", or a block below: its lines with the margin before them. */
static int append_value(struct buf *ret, const char *margin, const char *example, struct err *e)
{
        if (*example != '\n')
                return buf_printf(ret, e, " %s\n", example);
        while (*example == '\n') {
                size_t len = strcspn(++example, "\n");

                if (buf_printf(ret, e, "\n%s%.*s", margin, (int)len, example) < 0)
                        return -1;
                example += len;
        }
        return buf_append_byte(ret, '\n', e);
}

static int append_set(struct buf *ret, const struct field_set *set, struct err *e)
{
        for (size_t i = 0; i < set->n; i++) {
                const struct field *f = &set->v[i];
                int r = append_comment(ret, "#  # ", f->about, e);

                if (r == 0)
                        r = buf_printf(ret, e, "#  %s:", f->key);
                if (r == 0)
                        r = append_value(ret, "#    ", f->example, e);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_field(struct buf *ret, const struct field *f, struct err *e)
{
        AUTO(auto_free) char *about = measure_about(f);
        int r = about ? buf_append_byte(ret, '\n', e) : err_nomem(e);

        if (r == 0)
                r = append_comment(ret, "# ", about, e);
        if (r == 0)
                r = buf_printf(ret, e, "#%s:", f->key);
        if (r < 0 || f->kind != FIELD_MAP)
                return r < 0 ? r : append_value(ret, "#  ", f->example, e);
        r = buf_append_byte(ret, '\n', e);
        return r < 0 ? r : append_set(ret, f->set, e);
}

/* In quotes: `on` and `123` are names, too. */
static int append_given(struct buf *ret, const char *key, const char *value, struct patterns *patterns, struct err *e)
{
        const struct field *f = field_find(&field_root, key);
        bool fits;
        int r = patterns_fit(patterns, f->rule, value, strlen(value), &fits, e);

        if (r == 0 && !fits)
                r = err_set(e, ERR_USAGE, "%s: expected %s; found '%.80s'", key, text_rules[f->rule].expected, value);
        if (r == 0)
                r = append_comment(ret, "# ", f->about, e);
        return r < 0 ? r : buf_printf(ret, e, "%s: \"%s\"\n", key, value);
}

int profile_example(const char *entity, const char *domain, struct buf *ret, struct err *e)
{
        AUTO(patterns_freep) struct patterns *patterns = NULL;
        int r = patterns_new(&patterns, e);

        if (r == 0)
                r = buf_append_str(ret,
                                   "# The profile of this repository: what its runs get and what they may reach; see "
                                   "devdep.yaml(5).\n"
                                   "# devdep-cli validate --file " PROFILE_FILE " checks it.\n\n",
                                   e);
        if (r == 0)
                r = append_given(ret, "entity", entity, patterns, e);
        if (r == 0)
                r = append_given(ret, "domain", domain, patterns, e);
        for (size_t i = 0; r == 0 && i < field_root.n; i++)
                if (!field_root.v[i].required)
                        r = append_field(ret, &field_root.v[i], e);
        return r;
}
