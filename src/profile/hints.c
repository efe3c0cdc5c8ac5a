#include "profile/hints.h"

#include <string.h>

#include "base/str.h"

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
