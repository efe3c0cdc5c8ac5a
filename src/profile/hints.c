#include "profile/hints.h"

#include <string.h>

#include "base/str.h"

static const char *hint_of_destination(const char *text)
{
        if (strcmp(text, "*") == 0 || str_starts(text, "*:"))
                return "a bare '*' is every name: the profile 'audit' allows and records all of them";
        if (strstr(text, "://"))
                return "write the name alone, without the scheme and the path";
        if (str_starts(text, "*"))
                return "behind '*.' stand at least two parts of a name, such as *.example.com";
        if (strchr(text, '/') && !strrchr(text, ':'))
                return "an address has its port behind the prefix: 192.0.2.0/24:443";
        if (strchr(text, '/') && str_starts(text, "0.0.0.0/0"))
                return "a prefix of 0 is every address: the profile 'audit' allows and records all of them";
        if (strspn(text, "0123456789.:") == strlen(text))
                return "an address has its prefix and its port: 192.0.2.7/32:443";
        if (strspn(text, "0123456789abcdefABCDEF:./") == strlen(text))
                return "an IPv6 address stands in brackets: [2001:db8::]/32:443";
        return NULL;
}

static const char *hint_of_reference(const char *text)
{
        if (!strchr(text, '#'))
                return "the key of the secret stands behind a '#': kv/web/ci#npm_token";
        if (strchr(text, '%'))
                return "nothing is decoded: write the path as it is";
        return NULL;
}

const char *hint_of_text(enum rule rule, const char *text)
{
        switch (rule) {
        case RULE_DESTINATION:
                return hint_of_destination(text);
        case RULE_SECRET_REF:
                return hint_of_reference(text);
        case RULE_URL:
                return str_starts(text, "http://") ? "http would carry secrets in clear" : NULL;
        case RULE_COMMAND:
                return strstr(text, "${{") ? "read the environment instead: $GITHUB_SHA" : NULL;
        default:
                return NULL;
        }
}
