#include "profile/destination.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/arena.h"
#include "profile/profile.h"
#include "profile/read.h"

static int refuse(struct reader *r, const struct profile_destination *d, const char *hint, const char *why)
{
        return profile_complain(r, DIAG_ERROR, d->text.pos, (unsigned)strlen(d->text.text), hint, "allow: '%s': %s",
                                d->text.text, why);
}

/* Are all bits behind the prefix zero? */
static bool is_prefix(const struct profile_destination *d)
{
        for (unsigned bit = d->prefix; bit < (d->is_v6 ? 128u : 32u); bit++)
                if (d->address[bit / 8] & (0x80u >> bit % 8))
                        return false;
        return true;
}

static int read_prefix(struct reader *r, struct profile_destination *d)
{
        const char *text = d->text.text + (d->text.text[0] == '['), *slash = strchr(text, '/');
        char address[INET6_ADDRSTRLEN] = "";

        d->kind = PROFILE_DESTINATION_PREFIX;
        d->is_v6 = text != d->text.text;
        d->prefix = (unsigned)strtoul(slash + 1, NULL, 10);
        size_t len = (size_t)(slash - text) - d->is_v6;
        if (len < sizeof(address))
                memcpy(address, text, len);
        if (inet_pton(d->is_v6 ? AF_INET6 : AF_INET, address, d->address) != 1)
                return refuse(r, d, NULL, "this is no IPv6 address");
        if (!is_prefix(d))
                return refuse(r, d, "write 10.0.0.0/8 for the network, 10.0.0.7/32 for one address",
                              "the address has bits behind its prefix");
        return 0;
}

static int read_name(struct reader *r, struct profile_destination *d, size_t len)
{
        size_t skip = d->text.text[0] == '*' ? 2 : 0;
        char *name = arena_str(r->arena, d->text.text + skip, len - skip, r->e);

        if (!name)
                return -1;
        for (char *c = name; *c; c++)
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c | 0x20);
        d->kind = skip ? PROFILE_DESTINATION_BELOW : PROFILE_DESTINATION_NAME;
        d->name = name;
        if (strlen(name) > PROFILE_MAX_HOST)
                return refuse(r, d, NULL, "a name has at most " ERR_STR(PROFILE_MAX_HOST) " characters");
        return 0;
}

int destination_read(struct reader *r, struct profile_destination *d)
{
        const char *colon = strrchr(d->text.text, ':'), *bracket = strchr(d->text.text, ']');

        if (d->port)
                return 0;
        d->port =
                colon && (!bracket || colon > bracket) ? (unsigned)strtoul(colon + 1, NULL, 10) : PROFILE_DEFAULT_PORT;
        if (strchr(d->text.text, '/'))
                return read_prefix(r, d);
        return read_name(r, d, colon ? (size_t)(colon - d->text.text) : strlen(d->text.text));
}
