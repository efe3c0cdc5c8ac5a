/* Telling the service manager how far we are: sd_notify's protocol, one datagram to $NOTIFY_SOCKET (systemd's
 * sd_notify(3)). Without that variable it does nothing. */
#pragma once

struct err;

int notify(const char *state, struct err *e); /* "READY=1", "STOPPING=1", lines */
