/* Which process of the guest a socket belongs to, as far as /proc tells. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct packet;

#define OWNER_NAME 64u
#define OWNER_MAX_PROCESSES 4096u /* looked at, the newest first */

struct owner {
        pid_t pid;
        char name[OWNER_NAME]; /* its program, as the process tells */
};

/* The sender of a packet. False: nobody is known. */
bool owner_find(const struct packet *p, struct owner *ret);
