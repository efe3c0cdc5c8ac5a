#include "vm/probe.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "vm/image.h"
#include "vm/kvm.h"
#include "vm/slot.h"
#include "vm/vsock.h"
#include "wire/guest.h"

#define CACHE_MAX 4096
#define TELL_MS 1500u /* between lines that say what a person waits for */

/* ---- the verdict's key ---- */

static int add_file(struct hash *h, const char *path, size_t max, struct err *e)
{
        struct buf text = BUF_INIT;
        int r = fs_read(path, max, &text, e);

        if (r == 0)
                r = hash_add(h, text.data, text.len, e);
        buf_done(&text);
        return r < 0 ? r : 0;
}

/* The first processor's lines without those that change by the minute. */
static int add_processor(struct hash *h, struct err *e)
{
        struct buf text = BUF_INIT;
        int r = fs_read("/proc/cpuinfo", 16 << 20, &text, e);
        char *save = NULL;

        for (char *line = r == 0 && buf_cstr(&text) ? strtok_r((char *)text.data, "\n", &save) : NULL; line && r == 0;
             line = strtok_r(NULL, "\n", &save)) {
                if (str_starts(line, "model name") || str_starts(line, "flags") || str_starts(line, "microcode"))
                        r = hash_add(h, line, strlen(line), e);
        }
        buf_done(&text);
        return r < 0 ? r : 0;
}

static int add_driver(struct hash *h, const struct vm_driver *d, struct err *e)
{
        struct buf text = BUF_INIT;
        uint8_t digest[HASH_SIZE];
        int r = d->describe(&text, digest, e);

        buf_done(&text);
        return r < 0 ? r : hash_add(h, digest, sizeof(digest), e);
}

/* `kind` names the question: "probe" for the accelerator, "vsock-kvm" and "vsock-tcg" for the door. */
static int cache_path(const struct vm_driver *d, const char *state, const struct image *im, const char *kind,
                      char **ret, struct err *e)
{
        struct hash *h = NULL;
        struct utsname u = {0};
        char measurement[IMAGE_REF_SIZE], hex[HASH_HEX_SIZE];
        uint8_t digest[HASH_SIZE];
        int r = hash_new(&h, e);

        uname(&u);
        image_measurement(im, VM_ACCEL_KVM, measurement);
        if (r == 0)
                r = add_file(h, "/proc/sys/kernel/random/boot_id", 64, e);
        if (r == 0)
                r = hash_add(h, &u, sizeof(u), e);
        if (r == 0)
                r = add_processor(h, e);
        if (r == 0)
                r = add_driver(h, d, e);
        if (r == 0)
                r = hash_add(h, measurement, strlen(measurement), e);
        if (r == 0)
                r = hash_finish(h, digest, e);
        hash_free(h);
        if (r < 0)
                return r;
        hash_hex(digest, hex);
        *ret = str_printf("%s/cache/%s-%.32s.json", state, kind, hex);
        return *ret ? 0 : err_nomem(e);
}

/* Kept up to a time of the clock, 0: for good. A clock that was set back keeps nothing longer. */
static bool is_due(int64_t until_ms)
{
        const int64_t now = (int64_t)clock_real_ms();

        return until_ms && (now >= until_ms || until_ms - now > (int64_t)PROBE_ENDED_MS);
}

/* A verdict that cannot be read is none. */
static bool cache_read(const char *path, struct probe *p)
{
        AUTO(json_decrefp) json_t *o = NULL;
        struct buf text = BUF_INIT;
        const char *why = "", *accel = "";
        int64_t ms = 0, until = 0;
        bool ok = fs_read(path, CACHE_MAX, &text, NULL) == 0 &&
                  json_parse(text.data, text.len, CACHE_MAX, path, &o, NULL) == 0 &&
                  json_get_string(o, "", "accelerator", 8, &accel, NULL) == 0 &&
                  json_get_string(o, "", "why", sizeof(p->why) - 1, &why, NULL) == 0 &&
                  json_get_int(o, "", "boot_ms", 0, UINT32_MAX, &ms, NULL) == 0 &&
                  json_get_int(o, "", "until_ms", 0, INT64_MAX, &until, NULL) == 0 && !is_due(until) &&
                  (str_eq(accel, "kvm") || str_eq(accel, "tcg"));

        buf_done(&text);
        if (!ok)
                return false;
        p->accel = str_eq(accel, "kvm") ? VM_ACCEL_KVM : VM_ACCEL_TCG;
        p->boot_ms = (uint32_t)ms;
        p->cached = true;
        str_copy(p->why, sizeof(p->why), why);
        return true;
}

static int cache_write(const char *state, const char *path, const struct probe *p, uint64_t until_ms, struct err *e)
{
        AUTO(auto_free) char *folder = fs_join(state, "cache");
        AUTO(json_decrefp)
        json_t *o = json_pack("{s:i,s:s,s:i,s:s,s:I}", "version", 1, "accelerator", vm_accel_name(p->accel), "boot_ms",
                              (int)p->boot_ms, "why", p->why, "until_ms", (json_int_t)until_ms);
        struct buf text = BUF_INIT;
        int r;

        if (!folder || !o)
                return err_nomem(e);
        r = fs_mkdirs(folder, 0700, e);
        if (r == 0)
                r = json_write(o, 0, &text, e);
        if (r == 0)
                r = fs_write_atomic(path, text.data, text.len, 0600, e);
        buf_done(&text);
        return r;
}

/* ---- the guest ---- */

/* A guest that is booted to see what it does. */
struct trial {
        const struct vm_driver *driver;
        const char *state;
        const struct image *image;
        enum vm_accel accel;
        bool vsock;
        uint32_t deadline_ms;
};

/* What the guest did. A VMM that ended by itself may tell of the VMM, not of the accelerator (a host that is out of
 * memory): such a verdict is kept for PROBE_ENDED_MS. */
enum answer { READY, SILENT, ENDED };

/* Until one of the two has something or the deadline, and never silent for two seconds. Returns false at the deadline.
 */
static bool wait_for(const struct trial *t, struct pollfd f[2], uint64_t deadline)
{
        for (uint64_t now = clock_mono_ms(); now < deadline; now = clock_mono_ms()) {
                log_info("finding out whether a guest %s%s: at most %.1f s more",
                         t->vsock ? "answers over vsock under " : "boots under ", vm_accel_name(t->accel),
                         (double)(deadline - now) / 1000);
                if (poll(f, 2, (int)MIN(deadline - now, TELL_MS)) != 0)
                        return true;
        }
        return false;
}

/* The ready record by the deadline; the bytes are the guest's and mean nothing else. A listener does not end with its
 * VMM: then the jail's process is watched too. */
static enum answer wait_ready(const struct trial *t, const struct vm_handle *h, uint64_t deadline, struct probe *p)
{
        uint8_t record[GUEST_READY_SIZE];
        size_t len = 0;
        bool listening = vsock_is_listener(h->channel_fd);

        while (len < sizeof(record)) {
                struct pollfd f[] = {{.fd = h->channel_fd, .events = POLLIN},
                                     {.fd = listening ? h->jail_pidfd : -1, .events = POLLIN}};
                ssize_t n;
                if (!wait_for(t, f, deadline)) {
                        snprintf(p->why, sizeof(p->why), "a guest did not %s under %s within %u s",
                                 t->vsock ? "answer over vsock" : "boot", t->accel == VM_ACCEL_KVM ? "KVM" : "TCG",
                                 t->deadline_ms / 1000);
                        return SILENT;
                }
                if (listening && f[0].revents) {
                        listening = vsock_take(h->channel_fd, NULL) != 0;
                        continue;
                }
                if (f[1].revents) {
                        str_copy(p->why, sizeof(p->why), "the VMM ended before its guest was ready");
                        return ENDED;
                }
                n = recv(h->channel_fd, record + len, sizeof(record) - len, MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                        str_copy(p->why, sizeof(p->why), "the VMM ended before its guest was ready");
                        return ENDED;
                }
                len += n < 0 ? 0 : (size_t)n;
        }
        if (guest_ready_check(record, NULL) == 0)
                return READY;
        str_copy(p->why, sizeof(p->why), "the guest said something else than its ready record");
        return SILENT;
}

/* What QEMU said, if it said anything, is the better reason. */
static void take_log(const struct vm_handle *h, struct probe *p)
{
        struct buf log = BUF_INIT;

        if (vm_log(h, &log, NULL) == 0 && log.len && buf_cstr(&log)) {
                const char *text = buf_cstr(&log);
                size_t n = strcspn(text, "\n");
                snprintf(p->why, sizeof(p->why), "%.*s", (int)MIN(n, sizeof(p->why) - 1), text);
                for (char *c = p->why; *c; c++)
                        *c = (unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c;
        }
        buf_done(&log);
}

static void end(struct vm_handle *h)
{
        int status;

        h->lifeline_fd = fd_close(h->lifeline_fd);
        vm_wait(h, 10000, &status, NULL);
        vm_handle_done(h);
}

/* Negative only when no VMM could be started at all: that says nothing about the accelerator and is not kept. */
static int boot(const struct trial *t, const struct slot *slot, struct probe *p, enum answer *ret, struct err *e)
{
        struct vm_config c = VM_CONFIG_INIT;
        struct vm_handle h = VM_HANDLE_INIT;
        struct vsock v = VSOCK_INIT;
        uint64_t start = clock_mono_ms();
        int r = t->vsock ? vsock_reserve(&v, e) : 0;

        if (r < 0)
                return r;
        c.vsock = t->vsock ? &v : NULL;
        c.accel = t->accel;
        c.shape = (struct vm_shape){.vcpus = 1, .memory = 512ull << 20};
        c.kernel_fd = t->image->kernel_fd;
        c.initramfs_fd = t->image->initramfs_fd;
        c.cmdline = image_cmdline(t->image, t->accel);
        c.disk_fd[VM_DISK_ROOT] = t->image->root_fd;
        c.slot = slot;
        r = t->driver->start(&c, &h, e);
        vsock_done(&v);
        if (r < 0)
                return r;
        *ret = wait_ready(t, &h, start + t->deadline_ms, p);
        if (*ret == READY) {
                p->accel = t->accel;
                p->boot_ms = (uint32_t)(clock_mono_ms() - start);
        } else {
                take_log(&h, p);
        }
        end(&h);
        return 0;
}

static int boot_in_slot(const struct trial *t, struct probe *p, enum answer *ret, struct err *e)
{
        struct slot *slot = NULL;
        int r = slot_take(t->state, &slot, e);

        if (r == 0)
                r = boot(t, slot, p, ret, e);
        slot_release(slot);
        return r;
}

/* ---- */

static int probe_auto(const struct vm_driver *d, const char *state, const struct image *im, bool fresh, struct probe *p,
                      struct err *e)
{
        const struct trial t = {d, state, im, VM_ACCEL_KVM, false, PROBE_DEADLINE_MS};
        AUTO(auto_free) char *path = NULL;
        enum answer answer = ENDED;
        int r = cache_path(d, state, im, "probe", &path, e);

        if (r < 0)
                return r;
        if (fresh || !cache_read(path, p)) {
                r = boot_in_slot(&t, p, &answer, e);
                if (r < 0)
                        return err_wrap(e, r, "find out whether KVM works (--accel kvm or tcg decides without asking)");
                r = cache_write(state, path, p, answer == ENDED ? clock_real_ms() + PROBE_ENDED_MS : 0, e);
        }
        if (p->accel == VM_ACCEL_TCG)
                str_copy(p->mend, sizeof(p->mend),
                         "use a host whose KVM runs stock kernels; --accel kvm tries in spite of this");
        return r;
}

int vm_probe(const struct vm_driver *d, const char *state, const struct image *im, enum vm_accel want, bool fresh,
             struct probe *ret, struct err *e)
{
        struct kvm_facts kvm;

        *ret = (struct probe){.accel = want == VM_ACCEL_KVM ? VM_ACCEL_KVM : VM_ACCEL_TCG};
        if (want == VM_ACCEL_TCG) {
                str_copy(ret->why, sizeof(ret->why), "emulation was asked for");
                return 0;
        }
        kvm_examine(&kvm);
        ret->kvm_present = kvm.usable;
        ret->create_ms = kvm.create_us / 1000;
        if (!kvm.usable) {
                str_copy(ret->why, sizeof(ret->why), kvm.why);
                str_copy(ret->mend, sizeof(ret->mend), kvm.mend);
                return want == VM_ACCEL_KVM ? err_set(e, ERR_RESOURCES, "KVM was asked for: %s (%s)", kvm.why, kvm.mend)
                                            : 0;
        }
        if (want == VM_ACCEL_KVM)
                return 0;
        if (!im) {
                str_copy(ret->why, sizeof(ret->why), "no image to boot a guest from, so KVM is not shown to work");
                return 0;
        }
        return probe_auto(d, state, im, fresh, ret, e);
}

/* ---- the door ---- */

/* A VMM that refuses the device is a verdict too: the next run would meet the same refusal. */
static int door_auto(const struct trial *t, bool fresh, struct probe_door *ret, struct err *e)
{
        AUTO(auto_free) char *path = NULL;
        struct probe p = {.accel = t->accel};
        struct err why = ERR_INIT;
        enum answer answer = ENDED;
        int r = cache_path(t->driver, t->state, t->image, t->accel == VM_ACCEL_KVM ? "vsock-kvm" : "vsock-tcg", &path,
                           e);

        if (r < 0)
                return r;
        if (fresh || !cache_read(path, &p)) {
                if (boot_in_slot(t, &p, &answer, &why) < 0) {
                        str_copy(ret->why, sizeof(ret->why), why.msg);
                        return 0;
                }
                r = cache_write(t->state, path, &p, 0, e);
        }
        ret->vsock = !p.why[0];
        ret->cached = p.cached;
        ret->boot_ms = p.boot_ms;
        str_copy(ret->why, sizeof(ret->why), p.why);
        return r;
}

/* Why vsock cannot even be tried; empty when it can. */
static void door_obstacle(const struct vm_driver *d, struct probe_door *ret)
{
        bool there = access(VSOCK_DEVICE, F_OK) == 0;

        if (!(d->caps & VM_CAP_VSOCK)) {
                snprintf(ret->why, sizeof(ret->why), "the driver %s has no vsock", d->name);
        } else if (access(VSOCK_DEVICE, R_OK | W_OK) < 0) {
                snprintf(ret->why, sizeof(ret->why), VSOCK_DEVICE " %s", there ? "does not open" : "is not there");
                str_copy(ret->mend, sizeof(ret->mend), there ? "usermod -aG kvm USER" : "modprobe vhost_vsock");
        }
}

int vm_probe_door(const struct vm_driver *d, const char *state, const struct image *im, enum vm_accel accel,
                  enum vm_transport want, bool fresh, struct probe_door *ret, struct err *e)
{
        const struct trial t = {d,     state, im,
                                accel, true,  accel == VM_ACCEL_KVM ? PROBE_DEADLINE_MS : PROBE_DEADLINE_TCG_MS};

        *ret = (struct probe_door){.vsock = want == VM_TRANSPORT_VSOCK};
        if (want == VM_TRANSPORT_SERIAL) {
                str_copy(ret->why, sizeof(ret->why), "virtio-serial was asked for");
                return 0;
        }
        door_obstacle(d, ret);
        if (ret->why[0] && want == VM_TRANSPORT_VSOCK)
                return err_set(e, ERR_RESOURCES, "vsock was asked for: %s%s%s%s", ret->why, ret->mend[0] ? " (" : "",
                               ret->mend, ret->mend[0] ? ")" : "");
        if (ret->why[0] || want == VM_TRANSPORT_VSOCK)
                return 0;
        if (!im) {
                str_copy(ret->why, sizeof(ret->why), "no image to boot a guest from, so vsock is not shown to work");
                return 0;
        }
        return door_auto(&t, fresh, ret, e);
}
