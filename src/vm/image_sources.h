/* Which apt sources of this host an image is made from: Debian's own ones that fit the suite, and no others.
 *
 * A source fits when its suite is SUITE, SUITE-updates or SUITE-security and it has the component main. It is Debian's
 * when it is signed by Debian's archive keyring (Signed-By names a debian-archive-* file); where it names no key, when
 * the last part of its address is debian or debian-security (or such a mirror list). So a vendor's source for the same
 * suite is left out: its key would not be known, and its packages are not what the image asks for. Where no source
 * fits, those of another Debian suite lend their address: a bookworm host makes trixie images from the same mirror.
 *
 * Both formats of sources.list(5) are read. Internal to src/vm/image*. */
#pragma once

#include <stddef.h>

struct err;
struct buf;

#define IMAGE_MAX_SOURCES (256u * 1024u) /* bytes of one file of sources */

struct image_source {
        char *uri, *suite, *components, *signed_by; /* signed_by: NULL when none is named */
};
struct image_sources {
        struct image_source *v;
        size_t n;
};
#define IMAGE_SOURCES_INIT                                                                                             \
        {                                                                                                              \
                0                                                                                                      \
        }
void image_sources_done(struct image_sources *s);

/* Add the Debian sources of a text, of any suite; what is not understood is skipped: it is the host's business. */
int image_sources_add_list(struct image_sources *s, const char *text, struct err *e);   /* one line each */
int image_sources_add_deb822(struct image_sources *s, const char *text, struct err *e); /* stanzas */
/* All of /etc/apt below `etc` ("/etc/apt"). */
int image_sources_read(const char *etc, struct image_sources *ret, struct err *e);
/* What fits the suite, as stanzas for mmdebstrap. ERR_USAGE when nothing can. */
int image_sources_write(const struct image_sources *s, const char *suite, struct buf *ret, struct err *e);
