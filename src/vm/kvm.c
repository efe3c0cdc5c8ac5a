#include "vm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/fs.h"

static bool processor_has(const char *text, const char *flag)
{
        const char *flags = strstr(text, "\nflags");
        size_t len = strlen(flag);

        for (const char *p = flags ? strstr(flags, flag) : NULL; p; p = strstr(p + 1, flag)) {
                if (p[-1] == ' ' && (p[len] == ' ' || p[len] == '\n'))
                        return true;
        }
        return false;
}

static bool hardware_says_so(void)
{
        struct buf text = BUF_INIT;
        bool yes = false;

        if (fs_read("/proc/cpuinfo", 16 << 20, &text, NULL) == 0 && buf_cstr(&text))
                yes = processor_has(buf_cstr(&text), "vmx") || processor_has(buf_cstr(&text), "svm");
        buf_done(&text);
        return yes;
}

static void cannot_open(struct kvm_facts *f, int errnum)
{
        f->present = errnum != ENOENT && errnum != ENXIO && errnum != ENODEV;
        snprintf(f->why, sizeof(f->why), "/dev/kvm: %s", strerror(errnum));
        f->mend = errnum == EACCES || errnum == EPERM
                          ? "usermod -aG kvm USER, then log in again"
                          : "enable virtualisation in the firmware and load kvm_intel or kvm_amd";
}

void kvm_examine(struct kvm_facts *ret)
{
        AUTO(auto_close) int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        AUTO(auto_close) int vm = -1;
        uint64_t before;

        *ret = (struct kvm_facts){.mend = "", .hardware = hardware_says_so()};
        if (kvm < 0) {
                cannot_open(ret, errno);
                return;
        }
        ret->present = true;
        if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
                snprintf(ret->why, sizeof(ret->why), "/dev/kvm does not speak API version %d", KVM_API_VERSION);
                return;
        }
        before = clock_mono_ns();
        vm = ioctl(kvm, KVM_CREATE_VM, 0);
        ret->create_us = (uint32_t)((clock_mono_ns() - before) / 1000);
        if (vm < 0)
                snprintf(ret->why, sizeof(ret->why), "/dev/kvm makes no VM: %s", strerror(errno));
        ret->usable = vm >= 0;
}
