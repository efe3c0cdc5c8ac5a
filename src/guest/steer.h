/* TCP connections to the addresses that stand for names, and to listed addresses, arrive at one listener whatever their
 * port: a BPF program of the kind sk_lookup, which the kernel asks about each connection that is delivered here. The
 * job's own ports stay free. */
#pragma once

struct err;

/* The two listeners (of version 4 and 6) take them from here on, as long as *ret_link is open. */
int steer_start(int listener_v4, int listener_v6, int *ret_link, struct err *e);
