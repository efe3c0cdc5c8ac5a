#include "net/policy_entry.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"

#define EVERYTHING "the profile 'audit' allows and records all of them"

static int parse_port(const char *text, uint16_t *ret, struct err *e)
{
        uint64_t port = 0;
        int r = num_u64(text, 1, UINT16_MAX, "the port", &port, e);

        if (r == 0 && text[0] == '0')
                return err_set(e, ERR_USAGE, "the port begins with a zero");
        *ret = (uint16_t)port;
        return r;
}

/* A range of these would name every address of version 4 in it, whatever each is. */
static bool is_mapped(const struct prefix *p)
{
        static const struct prefix mapped = {.address = {.v6 = true, .bytes = {[10] = 0xff, [11] = 0xff}}, .len = 96};

        return prefix_covers(&mapped, p);
}

/* "ADDRESS/PREFIX", without brackets. */
static int parse_network(const char *text, struct prefix *ret, struct err *e)
{
        const char *len = strchr(text, '/') + 1;

        if (str_eq(len, "0"))
                return err_set(e, ERR_USAGE, "a prefix of 0 is every address: " EVERYTHING);
        if (len[0] == '0')
                return err_set(e, ERR_USAGE, "the length of the prefix begins with a zero");
        int r = prefix_parse(text, ret, e);
        if (r == 0 && is_mapped(ret))
                return err_set(e, ERR_USAGE, "an address of version 4 is written as one: 192.0.2.0/24:443");
        return r;
}

/* The address may hold colons: the port is behind a colon that follows the length. */
static int parse_prefix(char *text, struct policy_entry *ret, struct err *e)
{
        char *slash = strchr(text, '/'), *colon = strchr(slash, ':');
        bool brackets = text[0] == '[' && slash[-1] == ']';

        ret->kind = POLICY_PREFIX;
        if (colon)
                *colon = '\0';
        if (brackets) {
                text++;
                memmove(slash - 1, slash, strlen(slash) + 1);
        }
        int r = parse_network(text, &ret->prefix, e);
        if (r < 0)
                return r;
        if (brackets && !ret->prefix.address.v6)
                return err_set(e, ERR_USAGE, "what stands in brackets is no IPv6 address");
        if (!brackets && ret->prefix.address.v6)
                return err_set(e, ERR_USAGE, "an IPv6 address stands in brackets: [2001:db8::]/32:443");
        if (!colon)
                return err_set(e, ERR_USAGE, "an address has its port behind the prefix: 192.0.2.0/24:443");
        return parse_port(colon + 1, &ret->port, e);
}

/* An address without a prefix, with a port or without. */
static bool is_address(const char *text)
{
        struct address unused;

        return text[0] == '[' || address_parse(text, &unused) || text[strspn(text, "0123456789.:")] == '\0';
}

static int parse_name(char *text, struct policy_entry *ret, struct err *e)
{
        char *colon = strchr(text, ':');

        if (*text && is_address(text))
                return err_set(e, ERR_USAGE,
                               "an address has its prefix and its port: 192.0.2.7/32:443, [2001:db8::7]/128:443");
        if (colon)
                *colon = '\0';
        if (str_eq(text, "*"))
                return err_set(e, ERR_USAGE, "a bare '*' is every name: " EVERYTHING);
        ret->kind = text[0] == '*' ? POLICY_BELOW : POLICY_NAME;
        const char *name = ret->kind == POLICY_BELOW ? text + 2 : text;
        if (ret->kind == POLICY_BELOW && (text[1] != '.' || !strchr(name, '.')))
                return err_set(e, ERR_USAGE, "behind '*.' stand at least two parts of a name, such as *.example.com");
        int r = name_normalise(name, strlen(name), ret->name, e);
        if (r == 0 && str_ends(name, "."))
                return err_set(e, ERR_USAGE, "the name ends in a dot");
        return r < 0 || !colon ? r : parse_port(colon + 1, &ret->port, e);
}

int policy_entry_parse(const char *text, struct policy_entry *ret, struct err *e)
{
        char copy[POLICY_MAX_ENTRY + 1];

        *ret = (struct policy_entry){.port = POLICY_DEFAULT_PORT};
        if (!str_copy(copy, sizeof(copy), text))
                return err_set(e, ERR_USAGE, "an entry has at most %u bytes", POLICY_MAX_ENTRY);
        if (strstr(copy, "://"))
                return err_set(e, ERR_USAGE, "write the name alone, without the scheme and the path");
        return strchr(copy, '/') ? parse_prefix(copy, ret, e) : parse_name(copy, ret, e);
}

bool policy_entry_is_weak(const struct policy_entry *entry)
{
        return entry->port == POLICY_PLAIN_PORT;
}

void policy_entry_text(const struct policy_entry *entry, char ret[POLICY_TEXT])
{
        char address[ADDRESS_TEXT], port[8] = "";
        const struct prefix *p = &entry->prefix;

        if (entry->port != POLICY_DEFAULT_PORT || entry->kind == POLICY_PREFIX)
                snprintf(port, sizeof(port), ":%u", entry->port);
        address_text(&p->address, address);
        if (entry->kind != POLICY_PREFIX)
                snprintf(ret, POLICY_TEXT, "%s%s%s", entry->kind == POLICY_BELOW ? "*." : "", entry->name, port);
        else
                snprintf(ret, POLICY_TEXT, p->address.v6 ? "[%s]/%u%s" : "%s/%u%s", address, p->len, port);
}

void policy_wanted(const char *name, const struct address *a, uint16_t port, char ret[POLICY_TEXT])
{
        struct policy_entry entry = {.kind = name ? POLICY_NAME : POLICY_PREFIX, .port = port};

        if (name)
                str_copy(entry.name, sizeof(entry.name), name);
        else
                entry.prefix = (struct prefix){.address = *a, .len = address_bits(a)};
        ret[0] = '\0';
        if (name || !is_mapped(&entry.prefix))
                policy_entry_text(&entry, ret);
}
