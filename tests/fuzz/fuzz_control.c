/* Requests of the control socket. */
#include <stdint.h>

#include "base/err.h"
#include "job/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct control_request request;
        struct err e = ERR_INIT;
        control_parse(data, size, &request, &e);
        return 0;
}
