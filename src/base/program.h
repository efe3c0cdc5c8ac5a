/* Where our own programs are. */
#pragma once

struct err;

/* The absolute path of a program of this project (malloc'd): beside the running one (a build folder), else in
 * ../libexec/devdep (an installation). Never searched for in PATH. */
int program_path(const char *name, char **ret, struct err *e);
