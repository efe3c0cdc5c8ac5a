/* Entries of an egress policy: what is read is written in a form that reads the same; and names. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "net/policy_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(auto_free) char *text = str_ndup((const char *)data, size);
        struct policy_entry entry, again;
        char name[NAME_TEXT], first[POLICY_TEXT], second[POLICY_TEXT];
        struct err e = ERR_INIT;
        if (name_normalise(data, size, name, &e) == 0) {
                assert(strlen(name) <= NAME_MAX_LENGTH);
                assert(name_normalise(name, strlen(name), first, NULL) == 0 && strcmp(first, name) == 0);
        }
        if (policy_entry_parse(text, &entry, &e) < 0) {
                assert(e.code == ERR_USAGE && e.msg[0]);
                return 0;
        }
        policy_entry_text(&entry, first);
        assert(policy_entry_parse(first, &again, NULL) == 0);
        policy_entry_text(&again, second);
        assert(strcmp(first, second) == 0 && entry.port == again.port && entry.kind == again.kind);
        return 0;
}
