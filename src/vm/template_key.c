/* What a clone must have in common with the VM that was saved, and its hash. */
#include "vm/template.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "codec/json.h"
#include "vm/image.h"
#include "vm/template_priv.h"

/* Lines of /proc/cpuinfo, of its first processor, and their names here. */
static const struct {
        const char *line, *key;
} processor_lines[] = {{"vendor_id", "vendor"}, {"cpu family", "family"}, {"model", "model"},
                       {"model name", "name"},  {"stepping", "stepping"}, {"flags", "flags"}};

/* "model name\t: X": is it the line of this name? Then its value. */
static const char *value_of(const char *line, const char *name)
{
        const char *s = line + strlen(name);

        if (!str_starts(line, name))
                return NULL;
        s += strspn(s, " \t");
        return *s == ':' ? s + 1 + strspn(s + 1, " \t") : NULL;
}

static json_t *processor_object(char *cpuinfo)
{
        json_t *o = json_object();
        char *save = NULL;

        for (char *line = strtok_r(cpuinfo, "\n", &save); o && line; line = strtok_r(NULL, "\n", &save)) {
                for (size_t i = 0; i < sizeof(processor_lines) / sizeof(processor_lines[0]); i++) {
                        const char *value = value_of(line, processor_lines[i].line);
                        if (value && !json_object_get(o, processor_lines[i].key))
                                json_object_set_new(o, processor_lines[i].key, json_string(value));
                }
        }
        return o;
}

static int processor(json_t **ret, struct err *e)
{
        struct buf text = BUF_INIT;
        int r = fs_read("/proc/cpuinfo", 16 << 20, &text, e);
        char *s = r == 0 ? buf_take_str(&text) : NULL;

        buf_done(&text);
        if (r != 0)
                return r < 0 ? r : err_set(e, ERR_RESOURCES, "/proc/cpuinfo is missing");
        *ret = s ? processor_object(s) : NULL;
        free(s);
        return *ret ? 0 : err_nomem(e);
}

static int ingredients(const struct template_want *w, json_t **ret, struct err *e)
{
        AUTO(json_decrefp) json_t *cpu = NULL;
        struct buf text = BUF_INIT;
        uint8_t digest[HASH_SIZE];
        char vmm[HASH_HEX_SIZE];
        int r = w->driver->describe(&text, digest, e);

        buf_done(&text);
        if (r == 0)
                r = processor(&cpu, e);
        if (r < 0)
                return r;
        hash_hex(digest, vmm);
        *ret = json_pack("{s:i,s:s,s:s,s:s,s:i,s:I,s:I,s:s,s:O}", "format", TEMPLATE_FORMAT, "image", w->image->digest,
                         "accelerator", vm_accel_name(w->accel), "driver", w->driver->name, "vcpus",
                         (int)w->shape.vcpus, "memory", (json_int_t)w->shape.memory, "scratch",
                         (json_int_t)w->shape.scratch, "vmm", vmm, "processor", cpu);
        return *ret ? 0 : err_nomem(e);
}

int template_key(const struct template_want *w, char ret[HASH_HEX_SIZE], struct json_t **ret_json, struct err *e)
{
        AUTO(json_decrefp) json_t *parts = NULL;
        struct buf text = BUF_INIT;
        uint8_t digest[HASH_SIZE];
        int r = ingredients(w, &parts, e);

        if (r == 0)
                r = json_write(parts, JSON_WRITE_SORTED, &text, e);
        if (r == 0)
                r = hash_bytes(text.data, text.len, digest, e);
        buf_done(&text);
        if (r < 0)
                return r;
        hash_hex(digest, ret);
        if (ret_json)
                *ret_json = TAKE_PTR(parts);
        return 0;
}
