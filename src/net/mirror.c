#include "net/mirror.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define SCHEME "http://"
#define SECURE "https://"
#define SECURE_PORT 443u
#define PATH_CHARACTERS LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "/._~+,=:@%-"

static const char *const kinds[] = {
        [MIRROR_PLAIN] = "", [MIRROR_NPM] = "npm", [MIRROR_PYPI] = "pypi", [MIRROR_GO] = "go"};

/* Below devdep.internal these are, or will be, the host's own services. */
static const char *const reserved[] = {"actions", "artifacts", "cache",    "devdep",  "guest", "host",    "identity",
                                       "job",     "localhost", "metadata", "results", "run",   "secrets", "token"};

/* ---- its name ---- */

int mirror_name_check(const char *name, struct err *e)
{
        size_t len = strlen(name);

        if (!len || len > MIRROR_MAX_NAME)
                return err_set(e, ERR_USAGE, "the name of a mirror has 1 to %u bytes", MIRROR_MAX_NAME);
        if (!strchr(LETTERS, name[0]) || name[strspn(name, LETTERS DIGITS "-")] || name[len - 1] == '-')
                return err_set(e, ERR_USAGE,
                               "the name of a mirror has a-z, 0-9 and '-', begins with a letter and does not end in "
                               "'-'");
        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                if (str_eq(name, reserved[i]))
                        return err_set(e, ERR_USAGE, "'%s' is a name of the host's own services", name);
        return 0;
}

int mirror_kind_parse(const char *word, enum mirror_kind *ret, struct err *e)
{
        for (size_t i = MIRROR_NPM; i < ARRAY_SIZE(kinds); i++) {
                *ret = (enum mirror_kind)i;
                if (str_eq(word, kinds[i]))
                        return 0;
        }
        *ret = MIRROR_PLAIN;
        return err_set(e, ERR_USAGE, "expected kind=npm, kind=pypi or kind=go");
}

const char *mirror_kind_name(enum mirror_kind kind)
{
        return kinds[kind];
}

/* ---- its server ---- */

static int take_address(const char *text, struct mirror *ret, struct err *e)
{
        if (!address_parse(text, &ret->address))
                return err_set(e, ERR_USAGE, "'%.60s' is no address", text);
        const char *what = mirror_address_refusal(ret, &ret->address, false);
        return what ? err_set(e, ERR_USAGE, "%s is %s: no mirror is there", text, what) : 0;
}

/* text is "HOST" or "[ADDRESS]"; a version 6 address has its brackets. */
static int take_host(char *text, struct mirror *ret, struct err *e)
{
        size_t len = strlen(text);

        if (text[0] == '[') {
                text[len - 1] = '\0';
                return strchr(text, ':') ? take_address(text + 1, ret, e)
                                         : err_set(e, ERR_USAGE, "what stands in brackets is no IPv6 address");
        }
        if (len && text[strspn(text, DIGITS ".")] == '\0')
                return take_address(text, ret, e);
        int r = name_normalise(text, len, ret->host, e);
        if (r == 0 && name_is_internal(ret->host))
                return err_set(e, ERR_USAGE, "names below devdep.internal are in guests alone");
        if (r == 0 && str_eq(ret->host, "localhost"))
                return err_set(e, ERR_USAGE, "no name may lead back into this host: write 127.0.0.1");
        return r;
}

/* "HOST:PORT" or "HOST", of `len` bytes; *ret_at counts from text. */
static int take_authority(const char *text, size_t len, bool port_needed, struct mirror *ret, size_t *ret_at,
                          struct err *e)
{
        char copy[NAME_TEXT + 16];
        uint64_t port = ret->port;

        if (memchr(text, '@', len))
                return err_set(e, ERR_USAGE, "no user and no password: a mirror is open to every job");
        if (len >= sizeof(copy))
                return err_set(e, ERR_USAGE, "the name of the server has at most %u bytes", NAME_MAX_LENGTH);
        memcpy(copy, text, len);
        copy[len] = '\0';
        char *end = copy[0] == '[' ? strchr(copy, ']') : copy + strcspn(copy, ":");
        if (!end)
                return err_set(e, ERR_USAGE, "the ']' of the address is missing");
        end += copy[0] == '[';
        *ret_at = (size_t)(end - copy);
        if (*end && *end != ':')
                return err_set(e, ERR_USAGE, "expected ':' and a port behind the address");
        if (!*end && port_needed)
                return err_set(e, ERR_USAGE, "expected HOST:PORT, or http[s]://HOST[:PORT][/PATH]");
        if (*end && num_u64(end + 1, 1, UINT16_MAX, "the port", &port, e) < 0) {
                (*ret_at)++;
                return -1;
        }
        *end = '\0';
        *ret_at = 0;
        ret->port = (uint16_t)port;
        return take_host(copy, ret, e);
}

static int take_path(const char *text, struct mirror *ret, size_t *ret_at, struct err *e)
{
        *ret_at = strspn(text, PATH_CHARACTERS);
        if (text[*ret_at])
                return err_set(e, ERR_USAGE, "a character that the path of a mirror does not have");
        *ret_at = 0;
        if (!str_copy(ret->path, sizeof(ret->path), *text ? text : "/"))
                return err_set(e, ERR_USAGE, "the path has at most %u bytes", MIRROR_MAX_PATH);
        return 0;
}

int mirror_server_parse(const char *text, struct mirror *ret, size_t *ret_at, struct err *e)
{
        bool url = str_starts(text, SCHEME) || str_starts(text, SECURE);
        const char *host = url ? strchr(text, '/') + 2 : text;
        size_t len = url ? strcspn(host, "/") : strlen(host), at = 0;

        ret->host[0] = '\0';
        ret->tls = str_starts(text, SECURE);
        ret->port = ret->tls ? SECURE_PORT : MIRROR_PORT;
        *ret_at = 0;
        if (!url && strstr(text, "://"))
                return err_set(e, ERR_USAGE, "expected " SCHEME " or " SECURE);
        int r = take_authority(host, len, !url, ret, &at, e);
        *ret_at = (size_t)(host - text) + at;
        if (r == 0) {
                r = take_path(host + len, ret, &at, e);
                *ret_at = (size_t)(host - text) + len + at;
        }
        return r;
}

void mirror_server_text(const struct mirror *m, char ret[MIRROR_SERVER_TEXT])
{
        char address[ADDRESS_TEXT];

        address_text(&m->address, address);
        snprintf(ret, MIRROR_SERVER_TEXT, !m->host[0] && m->address.v6 ? "%s[%s]:%u" : "%s%s:%u",
                 m->tls ? SECURE : SCHEME, m->host[0] ? m->host : address, m->port);
}

const char *mirror_address_refusal(const struct mirror *m, const struct address *a, bool own)
{
        enum address_range range = address_range(a);
        bool written = !m->host[0];

        if (range == ADDRESS_SPECIAL || (range == ADDRESS_LOOPBACK && !written))
                return address_special(a, NULL);
        return own && !written ? "an address of this host" : NULL;
}

/* ---- in the guest ---- */

void mirror_url(const struct mirror *m, char ret[MIRROR_URL_TEXT])
{
        snprintf(ret, MIRROR_URL_TEXT, SCHEME "%s" NAME_INTERNAL "%s", m->name, m->path);
}

int mirror_variables(const struct mirror *m, mirror_variable_fn *fn, void *user, struct err *e)
{
        static const char *const of_kind[] = {
                [MIRROR_NPM] = "npm_config_registry", [MIRROR_PYPI] = "PIP_INDEX_URL", [MIRROR_GO] = "GOPROXY"};
        char name[sizeof("DEVDEP_MIRROR_") + MIRROR_MAX_NAME], url[MIRROR_URL_TEXT], host[NAME_TEXT];

        snprintf(name, sizeof(name), "DEVDEP_MIRROR_%s", m->name);
        for (char *c = name; *c; c++)
                *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        mirror_url(m, url);
        int r = fn(name, url, user, e);
        if (r == 0 && m->kind != MIRROR_PLAIN)
                r = fn(of_kind[m->kind], url, user, e);
        if (r < 0 || m->kind != MIRROR_PYPI)
                return r;
        snprintf(host, sizeof(host), "%s" NAME_INTERNAL, m->name);
        return fn("PIP_TRUSTED_HOST", host, user, e);
}
