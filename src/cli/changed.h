/* Which files an event changed, by the commits of the repository: what path filters decide by.
 *
 * GitHub's rules: of a push, what differs between the commits before and after it; of a new branch, what its commits
 * changed; of a pull request, what its branch changed since it left the base; 300 files at most, and a push of more
 * than 1,000 commits passes every filter. An event that names no commits is taken for a push of HEAD alone. */
#pragma once

struct event;
struct source_place;

/* Sets paths and paths_known of the event. Commits that are not here leave what its payload lists; where it lists
 * nothing either, the files are unknown, and a warning says why. */
void changed_find(const char *state, const struct source_place *place, struct event *ev);
