/* Addresses, routes and rules of this guest's own network (rtnetlink). */
#pragma once

#include <stdint.h>

#include "net/address.h"

struct err;

int netlink_open(int *ret, struct err *e);
int netlink_up(int fd, unsigned device, struct err *e);
/* One address of a device, without looking whether somebody else has it. */
int netlink_add_address(int fd, unsigned device, const struct address *a, struct err *e);

struct netlink_route {
        struct prefix to;
        bool local; /* delivered here; else sent out of the device */
        unsigned device;
        unsigned table;      /* 0: the main one, or the local one */
        struct address from; /* what a program that does not choose sends from */
};
int netlink_add_route(int fd, const struct netlink_route *r, struct err *e);
/* TCP to the prefix, and port where that is not 0, looks into this table, where the main one has nothing nearer than
 * its default route. */
int netlink_add_rule(int fd, const struct prefix *to, uint16_t port, unsigned table, struct err *e);
