#pragma once

#include <stddef.h>
#include <stdint.h>

/* The length in bytes of a kernel module's ELF file without the signature that may follow it (struct module_signature
 * of the kernel's include/linux/module_signature.h and its marker). A tail that is not well formed is part of the
 * module. */
size_t kmodule_unsigned_size(const uint8_t *data, size_t len);
