#include "source/notes.h"

#include "base/err.h"
#include "source/limits.h"

#include <string.h>

int notes_add(struct notes *n, const char *path, const char *what, struct err *e)
{
        char shown[256];
        if (n->text.n >= SOURCE_MAX_NOTES) {
                n->dropped++;
                return 0;
        }
        str_escape(shown, sizeof(shown), path, strlen(path));
        return strv_addf(&n->text, e, "%s: %s", shown, what);
}

int notes_close(struct notes *n, struct err *e)
{
        return n->dropped ? strv_addf(&n->text, e, "and %zu more", n->dropped) : 0;
}

void notes_done(struct notes *n)
{
        strv_done(&n->text);
        n->dropped = 0;
}
