#include "guest/netlink.h"

#include "base/err.h"
#include "base/num.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST 512u
#define PRIORITY_NEAR 900u  /* what is on this machine: a job's own containers */
#define PRIORITY_RULE 1000u /* listed addresses */

/* A request under construction: the kernel's header, a fixed part, attributes. */
struct request {
        union {
                struct nlmsghdr head;
                uint8_t bytes[MAX_REQUEST];
        };
};

int netlink_open(int *ret, struct err *e)
{
        *ret = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "open the kernel's routing socket") : 0;
}

static void begin(struct request *q, unsigned type, unsigned flags, const void *fixed, size_t len)
{
        *q = (struct request){.head = {.nlmsg_type = (uint16_t)type,
                                       .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
                                       .nlmsg_len = (uint32_t)NLMSG_LENGTH(len)}};
        memcpy(NLMSG_DATA(&q->head), fixed, len);
}

/* What is added is of ours and small: it fits. */
static void add(struct request *q, unsigned type, const void *value, size_t len)
{
        uint8_t *at = q->bytes + NLMSG_ALIGN(q->head.nlmsg_len);
        const struct rtattr head = {.rta_type = (uint16_t)type, .rta_len = (uint16_t)RTA_LENGTH(len)};
        memcpy(at, &head, sizeof(head));
        memcpy(at + RTA_LENGTH(0), value, len);
        q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(head.rta_len));
}

static void add_address(struct request *q, unsigned type, const struct address *a)
{
        add(q, type, a->bytes, address_bits(a) / 8);
}

static uint8_t family_of(const struct address *a)
{
        return a->v6 ? AF_INET6 : AF_INET;
}

/* Blocking: the kernel answers at once. */
static int send_request(int fd, const struct request *q, const char *what, struct err *e)
{
        union {
                struct nlmsghdr head;
                uint8_t bytes[1024];
        } answer;
        struct nlmsgerr status;
        ssize_t n = send(fd, q->bytes, q->head.nlmsg_len, 0) < 0 ? -1 : recv(fd, &answer, sizeof(answer), 0);
        if (n < 0)
                return err_errno(e, ERR_RESOURCES, errno, "%s", what);
        if (n < (ssize_t)NLMSG_LENGTH(sizeof(status)) || answer.head.nlmsg_type != NLMSG_ERROR)
                return err_set(e, ERR_RESOURCES, "%s: the kernel answered out of form", what);
        memcpy(&status, NLMSG_DATA(&answer.head), sizeof(status));
        return status.error ? err_errno(e, ERR_RESOURCES, -status.error, "%s", what) : 0;
}

int netlink_up(int fd, unsigned device, struct err *e)
{
        const struct ifinfomsg fixed = {.ifi_index = (int)device, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
        struct request q;
        begin(&q, RTM_NEWLINK, 0, &fixed, sizeof(fixed));
        return send_request(fd, &q, "bring a network device up", e);
}

int netlink_add_address(int fd, unsigned device, const struct address *a, struct err *e)
{
        const struct ifaddrmsg fixed = {.ifa_family = family_of(a),
                                        .ifa_prefixlen = (uint8_t)address_bits(a),
                                        .ifa_flags = IFA_F_NODAD,
                                        .ifa_index = device};
        struct request q;
        begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &fixed, sizeof(fixed));
        add_address(&q, IFA_LOCAL, a);
        add_address(&q, IFA_ADDRESS, a);
        return send_request(fd, &q, "add an address", e);
}

int netlink_add_route(int fd, const struct netlink_route *r, struct err *e)
{
        const uint32_t table = r->table ? r->table : r->local ? RT_TABLE_LOCAL : RT_TABLE_MAIN, device = r->device;
        const struct rtmsg fixed = {.rtm_family = family_of(&r->to.address),
                                    .rtm_dst_len = (uint8_t)r->to.len,
                                    .rtm_protocol = RTPROT_BOOT,
                                    .rtm_scope = r->local ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
                                    .rtm_type = r->local ? RTN_LOCAL : RTN_UNICAST};
        struct request q;
        begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &fixed, sizeof(fixed));
        add_address(&q, RTA_DST, &r->to.address);
        add_address(&q, RTA_PREFSRC, &r->from);
        add(&q, RTA_OIF, &device, sizeof(device));
        add(&q, RTA_TABLE, &table, sizeof(table));
        return send_request(fd, &q, "add a route", e);
}

static int add_near(int fd, uint8_t family, struct err *e)
{
        const struct fib_rule_hdr fixed = {.family = family, .action = FR_ACT_TO_TBL};
        const uint32_t table = RT_TABLE_MAIN, priority = PRIORITY_NEAR, no_longer_than = 0;
        struct request q;
        begin(&q, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof(fixed));
        add(&q, FRA_TABLE, &table, sizeof(table));
        add(&q, FRA_PRIORITY, &priority, sizeof(priority));
        add(&q, FRA_SUPPRESS_PREFIXLEN, &no_longer_than, sizeof(no_longer_than));
        struct err why = ERR_INIT;
        if (send_request(fd, &q, "add a routing rule", &why) == 0 || why.errnum == EEXIST)
                return 0;
        return err_set(e, why.code, "%s", why.msg);
}

int netlink_add_rule(int fd, const struct prefix *to, uint16_t port, unsigned table, struct err *e)
{
        const struct fib_rule_hdr fixed = {
                .family = family_of(&to->address), .dst_len = (uint8_t)to->len, .action = FR_ACT_TO_TBL};
        const struct fib_rule_port_range ports = {.start = port, .end = port};
        const uint32_t number = table, priority = PRIORITY_RULE;
        const uint8_t protocol = IPPROTO_TCP;
        struct request q;
        int r = add_near(fd, fixed.family, e);
        if (r < 0)
                return r;
        begin(&q, RTM_NEWRULE, NLM_F_CREATE, &fixed, sizeof(fixed));
        add(&q, FRA_TABLE, &number, sizeof(number));
        add(&q, FRA_PRIORITY, &priority, sizeof(priority));
        add(&q, FRA_IP_PROTO, &protocol, sizeof(protocol));
        if (to->len)
                add_address(&q, FRA_DST, &to->address);
        if (port)
                add(&q, FRA_DPORT_RANGE, &ports, sizeof(ports));
        return send_request(fd, &q, "add a routing rule", e);
}
