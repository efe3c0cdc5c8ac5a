/* Words of a guest that has no door yet, on the machine's console, and the end of a guest that cannot go on. */
#pragma once

struct err;

/* Say why in one line, escaped and bounded, then power off. Process 1 must not return from main. */
void console_die(const struct err *e) __attribute__((noreturn));
/* Open the console as standard input, output and error where nothing is open there yet. */
void console_attach(void);
