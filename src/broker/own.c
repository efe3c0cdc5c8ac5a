#include "broker/own.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stddef.h>

#include "base/err.h"
#include "net/address.h"

int own_has(const struct address *a, bool *ret, struct err *e)
{
        struct ifaddrs *list;

        *ret = false;
        if (getifaddrs(&list) < 0)
                return err_errno(e, ERR_RESOURCES, errno, "list this host's addresses");
        for (const struct ifaddrs *i = list; i && !*ret; i = i->ifa_next) {
                struct address own;
                if (i->ifa_addr && address_from_socket(i->ifa_addr, &own))
                        *ret = address_eq(a, &own);
        }
        freeifaddrs(list);
        return 0;
}
