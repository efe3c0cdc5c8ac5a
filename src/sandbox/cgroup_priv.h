/* What cgroup.c and cgroup_host.c share. */
#pragma once

#define CGROUP_FOLDER "/devdep"    /* holds our groups */
#define CGROUP_LEAF "/devdep-main" /* holds the processes of a group that was delegated to us */
