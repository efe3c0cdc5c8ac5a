/* What slot.c and slot_group.c share. */
#pragma once

struct err;
struct slot;

/* Kill what is in the slot's control groups and remove them; *killed is added to. */
int slot_end_groups(const struct slot *s, unsigned *killed, struct err *e);
