/* Maps of names to texts that they own, and the values that are made of them. */
#pragma once

struct err;
struct map;
struct value;

int texts_new(struct map **ret, struct err *e);
/* Copies. value is taken by texts_take(), NULL (no memory) included. */
int texts_set(struct map *m, const char *name, const char *value, struct err *e);
int texts_take(struct map *m, const char *name, char *value, struct err *e);
/* Everything of `from` (NULL: nothing) over what is there. */
int texts_add(struct map *m, const struct map *from, struct err *e);
/* An object of strings; m NULL gives an empty one. */
int texts_value(const struct map *m, struct value **ret, struct err *e);
