#include "cli/labels.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "vm/image.h"

static const char *const silent[] = {"self-hosted", "linux", "x64"};
static const char *const hosted[] = {"ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"};
#define HOSTED_IMAGE "default"

static bool is_among(const char *label, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (str_ieq(label, list[i]))
                        return true;
        return false;
}

struct known {
        const char *label;
        bool found;
        struct buf names;
};

static int visit(const struct image_entry *entry, void *user, struct err *e)
{
        struct known *k = user;

        k->found = k->found || str_eq(entry->name, k->label);
        return buf_printf(&k->names, e, ", %s", entry->name);
}

/* The image that one label means; NULL: it says nothing about the image. */
static int label_image(const struct image_store *store, const char *label, const char **ret, struct err *e)
{
        struct known k = {.label = label};

        *ret = NULL;
        if (is_among(label, silent, ARRAY_SIZE(silent)))
                return 0;
        if (is_among(label, hosted, ARRAY_SIZE(hosted))) {
                *ret = HOSTED_IMAGE;
                return 0;
        }
        int r = image_names(store, visit, &k, e);
        if (r == 0 && k.found)
                *ret = label;
        else if (r == 0)
                r = err_set(e, ERR_NO_RUNNER,
                            "runs-on: no image for the label '%s'; known are %s, %s, %s%.*s; --image NAME takes one "
                            "for every job",
                            label, hosted[0], hosted[1], hosted[2], (int)k.names.len, (const char *)k.names.data);
        buf_done(&k.names);
        return r;
}

int labels_image(const struct image_store *store, const struct strv *labels, char **ret, struct err *e)
{
        const char *image = HOSTED_IMAGE;

        for (size_t i = 0; i < labels->n; i++) {
                const char *found = NULL;
                int r = label_image(store, labels->v[i], &found, e);

                if (r < 0)
                        return r;
                if (found)
                        image = found;
        }
        *ret = str_dup(image);
        return *ret ? 0 : err_nomem(e);
}
