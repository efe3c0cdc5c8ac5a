/* The image map: which image a `runs-on` means (ARCHITECTURE.md "Settled questions"). */
#pragma once

struct err;
struct strv;
struct image_store;

/* labels: of one job. *ret is malloc'd: the reference of an image. Labels that say nothing about the image
 * (self-hosted, linux, x64) are passed over; ubuntu-latest, ubuntu-24.04 and ubuntu-22.04 mean `default`; a label that
 * is the name of an image means it. ERR_NO_RUNNER for an unknown label, naming the known ones. */
int labels_image(const struct image_store *store, const struct strv *labels, char **ret, struct err *e);
