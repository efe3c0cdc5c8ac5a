/* The host's /dev/kvm, asked directly: is it there, does it open, how long does a VM take to make. Not whether a guest
 * runs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kvm_facts {
        bool present, usable; /* the node exists; it opens and speaks API version 12 */
        bool hardware;        /* the processor says vmx or svm: otherwise KVM is paravirtual or nested away */
        uint32_t create_us;   /* KVM_CREATE_VM */
        char why[160];        /* when not usable */
        const char *mend;     /* when not usable; may be "" */
};

void kvm_examine(struct kvm_facts *ret);
