/* Listed addresses: which TCP connections are carried to the host although they name no name. */
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "guest/guest.h"
#include "guest/network.h"
#include "guest/ops.h"

#include <string.h>

/* "ADDRESS/PREFIX PORT"; port 0: every one. */
static int add(struct network *n, const struct field *f, struct err *e)
{
        char text[80] = "";
        uint64_t port;
        if (f->len < sizeof(text))
                memcpy(text, f->value, f->len);
        char *blank = strchr(text, ' ');
        if (!blank || strlen(text) != f->len)
                return err_set(e, ERR_USAGE, "expected ADDRESS/PREFIX, a blank and a port");
        *blank = '\0';
        int r = num_u64(blank + 1, 0, UINT16_MAX, "the port", &port, e);
        return r < 0 ? r : network_route(n, text, (unsigned)port, e);
}

int op_route(struct guest *g, struct door_stream *s, const struct fields *header, struct err *e)
{
        struct err why = ERR_INIT;
        int r = 0;
        for (size_t i = 0; i < fields_count(header) && r == 0; i++)
                if (str_eq(fields_at(header, i)->key, "to"))
                        r = add(g->network, fields_at(header, i), &why);
        return r < 0 ? op_refuse_invalid(s, &why, e) : op_done(s, NULL, e);
}
