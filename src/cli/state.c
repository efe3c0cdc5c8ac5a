#include "cli/state.h"

#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "vm/image.h"

int state_path(char **ret, struct err *e)
{
        struct image_store store = IMAGE_STORE_INIT;
        int r = image_store_init(&store, NULL, e);

        if (r == 0)
                r = fs_mkdirs(store.state, 0755, e);
        if (r == 0 && !(*ret = str_dup(store.state)))
                r = err_nomem(e);
        image_store_done(&store);
        return r;
}
