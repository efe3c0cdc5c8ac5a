/* Between doctor.c and doctor_jail.c. */
#pragma once

#include "vm/doctor.h"

void doctor_check_protections(struct doctor *d);
