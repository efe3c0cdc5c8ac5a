/* devdep-source's main part: one client, one request at a time, until the client closes. */
#pragma once

struct err;
struct mirror_config;
struct repo_view;

struct server_config {
        int fd;                             /* the client's socket */
        const struct repo_view *view;       /* the top repository; NULL: none, there is a mirror alone */
        int need_back_link;                 /* a `.git` file led to it */
        const char *own;                    /* an empty private folder for git folders and packs */
        const struct mirror_config *mirror; /* of actions; NULL: none */
};
/* 0 when the client closed between requests; ERR_PROTOCOL when it broke the protocol. */
int server_run(const struct server_config *c, struct err *e);
