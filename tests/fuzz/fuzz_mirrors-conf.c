/* The operator's file of package mirrors: what is read is written in a form that reads the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "cli/mirrors_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mirror *m)
{
        struct mirror again = {.kind = MIRROR_PLAIN};
        char text[MIRROR_SERVER_TEXT], url[MIRROR_URL_TEXT];
        size_t at;

        mirror_server_text(m, text);
        mirror_url(m, url);
        assert(mirror_name_check(m->name, NULL) == 0 && m->path[0] == '/' && strlen(url) < MIRROR_URL_TEXT - 1);
        assert(mirror_server_parse(text, &again, &at, NULL) == 0);
        assert(strcmp(again.host, m->host) == 0 && again.port == m->port && m->port && again.tls == m->tls);
        assert(m->host[0] || address_eq(&again.address, &m->address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct mirrors m;
        struct err e = ERR_INIT;

        if (mirrors_conf_parse(data, size, "mirrors.conf", &m, &e) < 0) {
                assert(e.code == ERR_USAGE && strncmp(e.msg, "mirrors.conf:", strlen("mirrors.conf:")) == 0);
                return 0;
        }
        assert(m.n <= MIRROR_MAX);
        for (size_t i = 0; i < m.n; i++)
                check(&m.v[i]);
        for (size_t i = 0; i < m.n; i++)
                assert(!m.ca[i][0] || (m.v[i].tls && m.ca[i][0] == '/'));
        return 0;
}
