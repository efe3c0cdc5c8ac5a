/* What devdep needs of this host and which protections it can hold: facts only, devdep-cli prints them. Every check
 * looks at the real thing (a jail is built, a guest is booted), not at a version number. */
#pragma once

#include <stdbool.h>

struct err;
struct image_store;
struct sandbox_report;

enum doctor_state { DOCTOR_OK, DOCTOR_DEGRADED, DOCTOR_MISSING };
const char *doctor_state_name(enum doctor_state s); /* "ok", "degraded", "missing" */

struct doctor_check {
        char name[48]; /* "kvm", "user-namespace", "memory", "broker.seccomp", ...: [a-z0-9.-] */
        /* "programs", "virtual machine", "protections", "resources", "image", "devdep-broker", ... */
        const char *group;
        enum doctor_state state;
        bool required;  /* missing and required: nothing can run */
        char why[240];  /* what was found, also when ok */
        char mend[200]; /* a command or a sentence; empty when ok */
};

struct doctor {
        struct doctor_check *checks;
        unsigned n;
};

/* image: the name that will be run (NULL: "default"). progress (may be NULL) is called before each group. */
int doctor_run(const struct image_store *store, const char *image, void (*progress)(const char *group, void *user),
               void *user, struct doctor **ret, struct err *e);
/* One more check, behind those of doctor_run(). mend is kept unless ok. What does not fit is left out. */
void doctor_say(struct doctor *d, const char *name, enum doctor_state state, bool required, const char *mend,
                const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* The protections of a program that was started to see them, each as a check "WHO.PROTECTION" of the group
 * "devdep-WHO", which outlives d; report NULL: it could not be started, and `why` says it. */
void doctor_say_program(struct doctor *d, const char *who, const char *group, const struct sandbox_report *report,
                        const char *why);
struct doctor *doctor_free(struct doctor *d); /* always NULL */
/* No required check is missing. */
bool doctor_can_run(const struct doctor *d);
