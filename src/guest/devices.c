#include "guest/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

#define DISKS "virtblk" /* in /proc/devices */

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
        return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* The major number of a driver's block devices. */
static int block_major(const char *driver, unsigned *ret, struct err *e)
{
        FILE *f = fopen("/proc/devices", "re");
        char line[128], name[65];
        bool block = false, found = false;

        if (!f)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open /proc/devices");
        while (!found && fgets(line, sizeof(line), f)) {
                block = block || strncmp(line, "Block devices:", 14) == 0;
                found = block && sscanf(line, " %u %64s", ret, name) == 2 && strcmp(name, driver) == 0;
        }
        fclose(f);
        return found ? 0 : err_set(e, ERR_VM_BOOT_FAILED, "/proc/devices has no block devices of %s", driver);
}

/* The answer is 0 for a block device of this major and 1 for all others. */
static int load(unsigned major, int *ret, struct err *e)
{
        enum { TYPE = BPF_REG_2, MAJOR = BPF_REG_3 };
        const struct bpf_insn program[] = {
                {.code = BPF_LDX | BPF_MEM | BPF_W,
                 .dst_reg = TYPE,
                 .src_reg = BPF_REG_1,
                 .off = offsetof(struct bpf_cgroup_dev_ctx, access_type)},
                {.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = TYPE, .imm = 0xffff},
                {.code = BPF_LDX | BPF_MEM | BPF_W,
                 .dst_reg = MAJOR,
                 .src_reg = BPF_REG_1,
                 .off = offsetof(struct bpf_cgroup_dev_ctx, major)},
                {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
                {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = TYPE, .off = 2, .imm = BPF_DEVCG_DEV_BLOCK},
                {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = MAJOR, .off = 1, .imm = (int32_t)major},
                {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
                {.code = BPF_JMP | BPF_EXIT},
        };
        union bpf_attr attr = {
                .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                .insn_cnt = ARRAY_SIZE(program),
                .insns = (uintptr_t)program,
                .license = (uintptr_t) "",
        };

        *ret = bpf(BPF_PROG_LOAD, &attr);
        return *ret < 0 ? err_errno(e, ERR_VM_BOOT_FAILED, errno, "load the program that guards the disks") : 0;
}

int devices_deny_disks(const char *path, struct err *e)
{
        AUTO(auto_close) int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        AUTO(auto_close) int program = -1;
        unsigned major = 0;

        if (group < 0)
                return err_errno(e, ERR_VM_BOOT_FAILED, errno, "open the control group %s", path);
        int r = block_major(DISKS, &major, e);
        r = r < 0 ? r : load(major, &program, e);
        if (r < 0)
                return r;
        union bpf_attr attr = {
                .target_fd = (uint32_t)group,
                .attach_bpf_fd = (uint32_t)program,
                .attach_type = BPF_CGROUP_DEVICE,
                .attach_flags = BPF_F_ALLOW_MULTI,
        };
        return bpf(BPF_PROG_ATTACH, &attr) < 0
                       ? err_errno(e, ERR_VM_BOOT_FAILED, errno, "guard the disks from %s", path)
                       : 0;
}
