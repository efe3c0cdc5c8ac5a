#include "guest/steer.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the program ---- */

/* Registers: 1 to 5 are arguments, 0 is a result, 6 to 9 survive calls, 10 is the end of the stack. */
#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R6 BPF_REG_6
#define R7 BPF_REG_7
#define R10 BPF_REG_10
#define LOAD(to, field)                                                                                                \
        {                                                                                                              \
                BPF_LDX | BPF_MEM | BPF_W, to, R6, offsetof(struct bpf_sk_lookup, field), 0                            \
        }
#define MOVE(to, from)                                                                                                 \
        {                                                                                                              \
                BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0                                                            \
        }
#define SET(to, value)                                                                                                 \
        {                                                                                                              \
                BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value                                                           \
        }
#define CALL(function)                                                                                                 \
        {                                                                                                              \
                BPF_JMP | BPF_CALL, 0, 0, 0, function                                                                  \
        }
/* Go on at row `next` when the low 32 bits of a register are (not) the value; `here` is the row that asks. */
#define IF(here, reg, value, next)                                                                                     \
        {                                                                                                              \
                BPF_JMP32 | BPF_JEQ | BPF_K, reg, 0, (next) - (here)-1, value                                          \
        }
#define UNLESS(here, reg, value, next)                                                                                 \
        {                                                                                                              \
                BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, (next) - (here)-1, value                                          \
        }
/* Four bytes of an address, as they are loaded. */
#define BYTES(a, b, c, d) (int32_t)((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Rows that are jumped to. */
enum { VERSION_6 = 11, FROM_6 = 16, STEER = 24, MAP = 25, PASS = 38 };

/* The addresses are those of ip.h. */
static const struct bpf_insn rows[] = {
        [0] = MOVE(R6, R1), /* the context */
        [1] = LOAD(R1, protocol),
        [2] = UNLESS(2, R1, IPPROTO_TCP, PASS),
        [3] = LOAD(R1, family),
        [4] = UNLESS(4, R1, AF_INET, VERSION_6),
        /* Version 4: from the address from which listed ones are reached, or to 198.18.0.0/16. */
        [5] = SET(R7, 0), /* the listener's key */
        [6] = LOAD(R1, remote_ip4),
        [7] = IF(7, R1, BYTES(198, 19, 255, 253), STEER),
        [8] = LOAD(R1, local_ip4),
        [9] = {BPF_ALU | BPF_AND | BPF_K, R1, 0, 0, BYTES(255, 255, 0, 0)},
        [10] = {BPF_JMP32 | BPF_JEQ | BPF_K, R1, 0, STEER - 11, BYTES(198, 18, 0, 0)},
        /* Version 6: to fd64:6576:6465:7000::/64, or from fd64:6576:6465:7002::2. A version 4 one that was neither
         * comes by here, too: its version 6 fields are zero. */
        [VERSION_6] = SET(R7, 1),
        [12] = LOAD(R1, local_ip6[0]),
        [13] = UNLESS(13, R1, BYTES(0xfd, 0x64, 0x65, 0x76), FROM_6),
        [14] = LOAD(R1, local_ip6[1]),
        [15] = IF(15, R1, BYTES(0x64, 0x65, 0x70, 0x00), STEER),
        [FROM_6] = LOAD(R1, remote_ip6[0]),
        [17] = UNLESS(17, R1, BYTES(0xfd, 0x64, 0x65, 0x76), PASS),
        [18] = LOAD(R1, remote_ip6[1]),
        [19] = UNLESS(19, R1, BYTES(0x64, 0x65, 0x70, 0x02), PASS),
        [20] = LOAD(R1, remote_ip6[2]),
        [21] = UNLESS(21, R1, 0, PASS),
        [22] = LOAD(R1, remote_ip6[3]),
        [23] = UNLESS(23, R1, BYTES(0, 0, 0, 2), PASS),
        /* The listener out of the map takes the connection. */
        [STEER] = {BPF_STX | BPF_MEM | BPF_W, R10, R7, -4, 0},
        [MAP] = {BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, 0 /* the map's descriptor */},
        [26] = {0}, /* the second half of the one before */
        [27] = MOVE(R2, R10),
        [28] = {BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, -4},
        [29] = CALL(BPF_FUNC_map_lookup_elem),
        [30] = {BPF_JMP | BPF_JEQ | BPF_K, R0, 0, PASS - 31, 0},
        [31] = MOVE(R7, R0),
        [32] = MOVE(R1, R6),
        [33] = MOVE(R2, R7),
        [34] = SET(R3, 0),
        [35] = CALL(BPF_FUNC_sk_assign),
        [36] = MOVE(R1, R7),
        [37] = CALL(BPF_FUNC_sk_release),
        [PASS] = SET(R0, SK_PASS),
        [39] = {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
};

/* ---- the kernel ---- */

static int bpf(unsigned command, union bpf_attr *attr)
{
        return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static uint64_t pointer(const void *p)
{
        return (uint64_t)(uintptr_t)p;
}

static int make_map(const int listeners[2], int *ret, struct err *e)
{
        union bpf_attr attr = {.map_type = BPF_MAP_TYPE_SOCKMAP,
                               .key_size = sizeof(uint32_t),
                               .value_size = sizeof(uint64_t),
                               .max_entries = 2};
        *ret = bpf(BPF_MAP_CREATE, &attr);
        if (*ret < 0)
                return err_errno(e, ERR_RESOURCES, errno, "make the map of listeners");
        for (uint32_t key = 0; key < 2; key++) {
                uint64_t value = (uint64_t)listeners[key];
                union bpf_attr put = {.map_fd = (uint32_t)*ret, .key = pointer(&key), .value = pointer(&value)};
                if (bpf(BPF_MAP_UPDATE_ELEM, &put) < 0)
                        return err_errno(e, ERR_RESOURCES, errno, "put a listener into its map");
        }
        return 0;
}

static int load(int map, int *ret, struct err *e)
{
        struct bpf_insn code[ARRAY_SIZE(rows)];
        memcpy(code, rows, sizeof(code));
        code[MAP].imm = map;
        union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
                               .expected_attach_type = BPF_SK_LOOKUP,
                               .insns = pointer(code),
                               .insn_cnt = ARRAY_SIZE(code),
                               .license = pointer("Apache-2.0")};
        *ret = bpf(BPF_PROG_LOAD, &attr);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "load the program that steers connections") : 0;
}

static int attach(int program, int *ret, struct err *e)
{
        AUTO(auto_close) int network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        union bpf_attr attr = {.link_create = {.prog_fd = (uint32_t)program,
                                               .target_fd = (uint32_t)network,
                                               .attach_type = BPF_SK_LOOKUP}};
        *ret = network < 0 ? -1 : bpf(BPF_LINK_CREATE, &attr);
        return *ret < 0 ? err_errno(e, ERR_RESOURCES, errno, "attach the program that steers connections") : 0;
}

int steer_start(int listener_v4, int listener_v6, int *ret_link, struct err *e)
{
        const int listeners[] = {listener_v4, listener_v6};
        AUTO(auto_close) int map = -1;
        AUTO(auto_close) int program = -1;
        int r = make_map(listeners, &map, e);
        r = r < 0 ? r : load(map, &program, e);
        return r < 0 ? r : attach(program, ret_link, e);
}
