/* Whose connection becomes the channel. AF_VSOCK itself needs a device: the listener is an AF_UNIX one here, and the
 * addresses that the kernel would tell are this test's. Where the kernel has vsock_loopback or vhost_vsock, as in the
 * guest of tests/e2e/test_vsock.py, both are the kernel's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/vm_sockets.h>

#include "base/err.h"
#include "base/fd.h"
#include "job/session.h"
#include "loop/loop.h"
#include "vm/vsock.h"
#include "wire/guest.h"

#define GUEST_CID 70000u

int __real_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);

static uint32_t peers[8]; /* who the next connections come from */
static unsigned next_peer;
static bool real; /* ask the kernel */

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
        struct sockaddr_vm own = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = GUEST_CID};

        if (real)
                return __real_getsockname(fd, address, len);
        assert_int_equal(*len, sizeof(own));
        memcpy(address, &own, sizeof(own));
        return 0;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
        struct sockaddr_vm peer = {.svm_family = AF_VSOCK, .svm_port = 1024};
        int r = real ? __real_accept4(fd, address, len, flags) : __real_accept4(fd, NULL, NULL, flags);

        if (real)
                return r;
        assert_int_equal(*len, sizeof(peer));
        if (r >= 0) {
                peer.svm_cid = peers[next_peer++];
                memcpy(address, &peer, sizeof(peer));
        }
        return r;
}

static struct err err;
static struct sockaddr_un place;

/* An abstract address: nothing to remove afterwards. */
static int make_listener(void)
{
        socklen_t len = sizeof(place);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        place = (struct sockaddr_un){.sun_family = AF_UNIX};
        snprintf(place.sun_path + 1, sizeof(place.sun_path) - 1, "devdep-test-vsock-%d", getpid());
        assert_int_equal(bind(fd, (struct sockaddr *)&place, len), 0);
        assert_int_equal(listen(fd, VSOCK_BACKLOG), 0);
        next_peer = 0;
        return fd;
}

static int connect_as(unsigned i, uint32_t cid)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        peers[i] = cid;
        assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
        return fd;
}

static void the_guests_connection_replaces_the_listener(void **state)
{
        int fd = make_listener(), guest = connect_as(0, GUEST_CID), late;
        char text[4];

        (void)state;
        assert_true(vsock_is_listener(fd));
        assert_int_equal(vsock_take(fd, &err), 0);
        assert_false(vsock_is_listener(fd));
        assert_int_equal(write(guest, "door", 4), 4);
        assert_int_equal(read(fd, text, 4), 4);
        assert_memory_equal(text, "door", 4);
        late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(late, (struct sockaddr *)&place, sizeof(place)), -1); /* nobody listens any more */
        assert_int_equal(errno, ECONNREFUSED);
        close(late);
        close(guest);
        close(fd);
}

static void strangers_are_turned_away_and_the_guest_is_still_awaited(void **state)
{
        const uint32_t strangers[] = {VMADDR_CID_HYPERVISOR, VMADDR_CID_LOCAL, VMADDR_CID_HOST, GUEST_CID + 1,
                                      VMADDR_CID_ANY};
        int fd = make_listener(), guest;
        char byte;

        (void)state;
        assert_int_equal(vsock_take(fd, &err), VSOCK_E_WAIT);
        for (unsigned i = 0; i < 5; i++) {
                int stranger = connect_as(i, strangers[i]);
                assert_int_equal(vsock_take(fd, &err), VSOCK_E_WAIT);
                assert_int_equal(read(stranger, &byte, 1), 0);
                close(stranger);
        }
        assert_true(vsock_is_listener(fd));
        guest = connect_as(5, GUEST_CID);
        assert_int_equal(vsock_take(fd, &err), 0);
        close(guest);
        close(fd);
}

static void a_connected_channel_is_no_listener(void **state)
{
        int pair[2];

        (void)state;
        assert_int_equal(fd_socketpair(SOCK_STREAM, pair, &err), 0);
        assert_false(vsock_is_listener(pair[0]));
        close(pair[0]);
        close(pair[1]);
}

static void without_the_device_nothing_is_reserved(void **state)
{
        struct vsock v = VSOCK_INIT;

        (void)state;
        if (access(VSOCK_DEVICE, R_OK | W_OK) == 0)
                skip();
        assert_true(vsock_reserve(&v, &err) < 0);
        assert_int_equal(err.code, ERR_RESOURCES);
        assert_non_null(strstr(err.msg, VSOCK_DEVICE));
        assert_int_equal(v.vhost_fd, -1);
        assert_int_equal(v.listener_fd, -1);
}

static void each_reservation_has_its_own_id_and_port(void **state)
{
        struct vsock a = VSOCK_INIT, b = VSOCK_INIT;

        (void)state;
        if (access(VSOCK_DEVICE, R_OK | W_OK) < 0)
                skip();
        if (vsock_reserve(&a, &err) < 0 || vsock_reserve(&b, &err) < 0)
                fail_msg("%s", err.msg);
        assert_true(a.cid >= VSOCK_FIRST_CID && a.cid <= VSOCK_LAST_CID && a.cid != b.cid);
        assert_true(vsock_is_listener(a.listener_fd) && vsock_is_listener(b.listener_fd));
        vsock_done(&a);
        vsock_done(&b);
}

/* A connection of this machine to itself comes from CID 1: the guest of the listener at port 1, and of no other. */
static int vsock_at(uint32_t port, bool listening)
{
        struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = port};
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | (listening ? SOCK_NONBLOCK : 0), 0);
        int r = listening ? bind(fd, (struct sockaddr *)&address, sizeof(address))
                          : connect(fd, (struct sockaddr *)&address, sizeof(address));

        if (r == 0 && listening)
                r = listen(fd, VSOCK_BACKLOG);
        return r < 0 ? fd_close(fd) : fd;
}

static void the_kernels_addresses_are_read_as_the_tests_are(void **state)
{
        int guests = vsock_at(1, true), anothers = vsock_at(GUEST_CID, true), guest, stranger;
        char text[4];

        (void)state;
        if (guests < 0 || anothers < 0) {
                fd_close(guests);
                fd_close(anothers);
                skip();
        }
        real = true;
        guest = vsock_at(1, false);
        stranger = vsock_at(GUEST_CID, false);
        assert_true(guest >= 0 && stranger >= 0);
        assert_int_equal(vsock_take(anothers, &err), VSOCK_E_WAIT);
        assert_true(vsock_is_listener(anothers));
        assert_int_equal(vsock_take(guests, &err), 0);
        assert_false(vsock_is_listener(guests));
        assert_int_equal(write(guest, "door", 4), 4);
        assert_int_equal(read(guests, text, 4), 4);
        assert_int_equal(vsock_at(1, false), -1); /* nobody listens any more */
        real = false;
        close(stranger);
        close(guest);
        close(anothers);
        close(guests);
}

/* ---- devdep-job's session on a listener ---- */

static struct loop *loop;
static struct err failure;

static int on_ready(struct session *s, void *user, struct err *e)
{
        (void)s;
        (void)e;
        *(bool *)user = true;
        loop_quit(loop);
        return 0;
}

static int on_seeded(struct session *s, const struct fields *answer, void *user, struct err *e)
{
        (void)s;
        (void)answer;
        (void)user;
        return err_set(e, ERR_PROTOCOL, "nothing was seeded");
}

static int on_failed(struct session *s, const struct err *why, void *user, struct err *e)
{
        (void)s;
        (void)user;
        (void)e;
        failure = *why;
        loop_quit(loop);
        return 0;
}

static bool session_gets_ready(int fd, uint64_t boot_ms)
{
        static const struct session_callbacks callbacks = {on_ready, on_seeded, on_failed};
        const struct session_times times = SESSION_TIMES_DEFAULT(boot_ms);
        struct session *session;
        bool ready = false;

        failure = (struct err)ERR_INIT;
        assert_int_equal(loop_new(&loop, &err), 0);
        assert_int_equal(session_new(loop, fd, VM_BOOTED, &times, &callbacks, &ready, &session, &err), 0);
        assert_int_equal(loop_run(loop, &err), 0);
        session_free(session);
        loop_free(loop);
        return ready;
}

static void a_session_on_a_listener_begins_with_the_guest_that_comes(void **state)
{
        int fd = make_listener(), stranger = connect_as(0, GUEST_CID + 1), guest = connect_as(1, GUEST_CID);
        uint8_t record[GUEST_READY_SIZE];

        (void)state;
        guest_ready_write(record);
        assert_int_equal(write(guest, record, sizeof(record)), (ssize_t)sizeof(record));
        assert_true(session_gets_ready(fd, 60000));
        assert_false(vsock_is_listener(fd));
        close(stranger);
        close(guest);
        close(fd);
}

static void a_guest_that_never_comes_is_a_failed_boot(void **state)
{
        int fd = make_listener(), stranger = connect_as(0, VMADDR_CID_HOST);
        uint8_t record[GUEST_READY_SIZE];

        (void)state;
        guest_ready_write(record);
        assert_int_equal(write(stranger, record, sizeof(record)), (ssize_t)sizeof(record));
        assert_false(session_gets_ready(fd, 50));
        assert_int_equal(failure.code, ERR_VM_BOOT_FAILED);
        close(stranger);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_guests_connection_replaces_the_listener),
                cmocka_unit_test(strangers_are_turned_away_and_the_guest_is_still_awaited),
                cmocka_unit_test(a_connected_channel_is_no_listener),
                cmocka_unit_test(without_the_device_nothing_is_reserved),
                cmocka_unit_test(each_reservation_has_its_own_id_and_port),
                cmocka_unit_test(the_kernels_addresses_are_read_as_the_tests_are),
                cmocka_unit_test(a_session_on_a_listener_begins_with_the_guest_that_comes),
                cmocka_unit_test(a_guest_that_never_comes_is_a_failed_boot),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
