/* The door's byte stream: the virtio-serial port named devdep.door, or AF_VSOCK where there is no such port. */
#pragma once

struct err;

#define CHANNEL_VSOCK_MS 250 /* without a port: then vsock is tried, too */
#define CHANNEL_WAIT_MS 5000 /* then there is no channel */
/* A non-blocking descriptor. */
int channel_open(int *ret, struct err *e);
