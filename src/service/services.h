/* What the requests of a job are answered from. */
#pragma once

struct artifacts;
struct caches;
struct uploads;

struct services {
        struct caches *caches;
        struct artifacts *artifacts;
        struct uploads *uploads; /* of both */
};
