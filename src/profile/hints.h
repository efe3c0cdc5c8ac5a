/* What to do about a text that does not fit, where the usual mistakes are known. Only src/profile includes this. */
#pragma once

#include "profile/fields.h"

const char *hint_of_text(enum rule rule, const char *text); /* NULL: nothing to say */
