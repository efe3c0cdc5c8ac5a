#include "job/texts.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "workflow/value.h"

int texts_new(struct map **ret, struct err *e)
{
        return map_new(free, ret, e);
}

int texts_take(struct map *m, const char *name, char *value, struct err *e)
{
        int r = value ? map_set(m, name, value, e) : err_nomem(e);
        if (r < 0)
                free(value);
        return r;
}

int texts_set(struct map *m, const char *name, const char *value, struct err *e)
{
        return texts_take(m, name, str_dup(value), e);
}

int texts_add(struct map *m, const struct map *from, struct err *e)
{
        int r = 0;
        for (size_t i = 0; r == 0 && from && i < map_count(from); i++)
                r = texts_set(m, map_key_at(from, i), map_value_at(from, i), e);
        return r;
}

int texts_value(const struct map *m, struct value **ret, struct err *e)
{
        AUTO(value_unrefp) struct value *o = NULL;
        int r = value_object(&o, e);
        for (size_t i = 0; r == 0 && m && i < map_count(m); i++)
                r = value_set_str(o, map_key_at(m, i), map_value_at(m, i), e);
        if (r == 0)
                *ret = TAKE_PTR(o);
        return r;
}
