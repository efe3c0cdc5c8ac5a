/* ClientHello: an answer for a part of the bytes is the answer for more of them, unless it was "more". */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "net/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct hello_result whole, part;
        enum hello found = hello_parse(data, size, &whole);
        char again[NAME_TEXT];
        assert((found == HELLO_NAME) == (whole.name[0] != '\0') || found == HELLO_BROKEN);
        assert(found != HELLO_MORE || size < HELLO_MAX_SIZE);
        if (found == HELLO_NAME)
                assert(name_normalise(whole.name, strlen(whole.name), again, NULL) == 0 &&
                       strcmp(again, whole.name) == 0);
        if (found == HELLO_NAME || found == HELLO_NO_NAME)
                assert(whole.size > 0 && whole.size <= size);
        size_t record = 0;
        if (hello_record(data, size, &record) == HELLO_RECORD_OTHER)
                assert(record >= 5 && record <= 5 + UINT16_MAX);
        if (hello_retry(data, size) == HELLO_RETRY_MORE)
                assert(size < HELLO_ANSWER_SIZE);
        enum hello half = hello_parse(data, size / 2, &part);
        assert(half == HELLO_MORE || (half == found && strcmp(part.name, whole.name) == 0));
        return 0;
}
