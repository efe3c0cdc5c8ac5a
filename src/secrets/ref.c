#include "secrets/ref.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "secrets/limits.h"

#include <string.h>
#include <strings.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DYNAMIC "creds/" /* how the paths of a provider's dynamic credentials begin */

bool secret_name_is_valid(const char *name)
{
        size_t len = strlen(name);
        return len && len <= SECRETS_MAX_NAME && strchr(LETTERS, name[0]) &&
               strspn(name, LETTERS "0123456789") == len && strncasecmp(name, "GITHUB_", 7) != 0;
}

/* What a server, a proxy or a URL parser on the way could read as something else than a name. */
static int check_text(const char *text, struct err *e)
{
        static const char *const marks[] = {"?", "%", "\\", ";"};
        if (strlen(text) > SECRETS_MAX_REFERENCE)
                return err_set(e, ERR_USAGE, "longer than %u bytes", SECRETS_MAX_REFERENCE);
        for (const char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return err_set(e, ERR_USAGE, "a control character is not allowed in it");
        for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
                if (strstr(text, marks[i]))
                        return err_set(e, ERR_USAGE, "'%s' is not allowed in it", marks[i]);
        return 0;
}

static int check_segments(const char *path, struct err *e)
{
        for (const char *p = path; p;) {
                size_t len = strcspn(p, "/");
                if (len == 0)
                        return err_set(e, ERR_USAGE, "an empty name in the path");
                if (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.')))
                        return err_set(e, ERR_USAGE, "'%.*s' in the path", (int)len, p);
                p = p[len] ? p + len + 1 : NULL;
        }
        return 0;
}

static int take(const char *text, struct secret_ref *r, struct err *e)
{
        const char *hash = strchr(text, '#'), *slash = strchr(text, '/');
        if (!hash || !slash || slash > hash)
                return err_set(e, ERR_USAGE, "expected mount/path#key");
        if (!hash[1] || strchr(hash + 1, '#'))
                return err_set(e, ERR_USAGE, "expected one key behind one '#'");
        r->mount = str_ndup(text, (size_t)(slash - text));
        r->path = str_ndup(slash + 1, (size_t)(hash - slash - 1));
        r->key = str_dup(hash + 1);
        if (!r->mount || !r->path || !r->key)
                return err_nomem(e);
        int rc = check_segments(r->mount, e);
        if (rc == 0)
                rc = check_segments(r->path, e);
        r->dynamic = str_starts(r->path, DYNAMIC);
        return rc;
}

int secret_ref_parse(const char *text, struct secret_ref *ret, struct err *e)
{
        AUTO(secret_ref_done) struct secret_ref r = {0};
        int rc = check_text(text, e);
        if (rc == 0)
                rc = take(text, &r, e);
        if (rc < 0) {
                char shown[128];
                str_escape(shown, sizeof(shown), text, strlen(text));
                return err_wrap(e, rc, "reference '%s'", shown);
        }
        *ret = r;
        r = (struct secret_ref){0};
        return 0;
}

void secret_ref_done(struct secret_ref *r)
{
        free(r->mount);
        free(r->path);
        free(r->key);
        *r = (struct secret_ref){0};
}
