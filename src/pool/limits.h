/* What devdep-pool bounds, each with a row in docs/limits.md. */
#pragma once

#define POOL_MAX_FILES 8192u          /* descriptors: seven of a VM, two of a kind, connections */
#define POOL_MAX_CONNECTIONS 128u     /* of everybody */
#define POOL_MAX_USER_CONNECTIONS 32u /* of one user */
#define POOL_MAX_USERS 32u            /* that may talk to one pool */
#define POOL_MAX_USER_PARKED 64u      /* VMs kept for one user, over all its orders */
#define POOL_MAX_USER_RUNNING 64u     /* VMs that a user who was allowed has claimed and that have not ended */
#define POOL_MAX_USER_ORDERS 16u      /* kinds of VMs kept for one user */
#define POOL_USER_VERBS 100u          /* requests of one user in a second; as many may come at once */
#define POOL_SILENCE_MS 10000u        /* from the connection or the last answer to a whole request */
#define POOL_SLOW_MS 5000u            /* for an answer that the client does not take */
#define POOL_MAKE_MS 300000u          /* from the start of a preparation, a template's build included, to its end */
#define POOL_QUIET_MS 1000u           /* after a claim: nothing is prepared */
#define POOL_QUIET_MOST_MS 10000u     /* of one preparation in sum, so that it is late and never lost */
#define POOL_RETRY_MS 1000u           /* after a preparation that failed; doubles to POOL_RETRY_MOST_MS */
#define POOL_RETRY_MOST_MS 60000u
#define POOL_BUILD_RETRY_MS 30000u /* the same, where it had to make a template: that costs a boot each time */
#define POOL_BUILD_RETRY_MOST_MS 600000u
#define POOL_LOOK_MS 5000u              /* between looks at images, the VMM's version and ages */
#define POOL_AGE_MS (30u * 60u * 1000u) /* default of --age */
#define POOL_GUESS ((uint64_t)64 << 20) /* private memory of a VM before the first was measured, at least */
#define POOL_END_MS 10000u              /* for a VM whose lifeline was closed, before its jail is killed */
