/* Between doctor.c and doctor_jail.c. */
#pragma once

#include "vm/doctor.h"

/* Add a check; mend is kept unless ok. */
void doctor_say(struct doctor *d, const char *name, enum doctor_state state, bool required, const char *mend,
                const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void doctor_check_protections(struct doctor *d);
