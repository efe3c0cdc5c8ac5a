/* An artifact's archive becomes files of this host: the one place that unpacks what a guest sent, when a person asks
 * for it.
 *
 * Nothing in the archive is trusted. Regular files alone, within the limits of an artifact; a name is relative, has no
 * "..", no control character and at most ARTIFACT_MAX_DEPTH folders; links, on the way or in a file's place, are never
 * followed; modes, owners and times of the archive are ignored. All files are made in a folder beside their place
 * (stage.h), and compared with the digest of the archive, before the first one appears at its place:
 *
 *   a folder that is not there     appears at once, with all files in it
 *   a folder that is there         each file appears whole; nothing does when one of them is in the way of another that
 *                                  is there already, unless force is given: then it takes that one's place. What would
 *                                  come to lie in a folder `.git` is refused: it could change what git does there. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct store_entry;

struct unpack_options {
        const char *folder;                /* that the files are to be in; made when it is missing */
        bool force;                        /* replace files (never folders) that are there */
        const volatile sig_atomic_t *stop; /* ends the work (ERR_CANCELLED) when it is not 0; may be NULL */
};

/* archive_fd: of store_read(), at its beginning. ERR_USAGE: a file is in the way, or a name is refused; ERR_RESOURCES:
 * the archive is damaged, or the host cannot take it. After an error nothing has changed, unless the host failed while
 * the files were given their names in a folder that was there. */
int unpack_artifact(int archive_fd, const struct store_entry *x, const struct unpack_options *o, struct err *e);
