/* Actions that are built in: one table, a row for each. `uses: actions/checkout@v4` finds its row by the name in front
 * of the @ (any version, case folded); then no action.yml is read and nothing is fetched.
 *
 * What a row promises. `start` is called in STEP_BUILTIN, with the step named, its condition true and its settings
 * read. It reads its inputs (inputs.h), keeps what it needs in s->private (`free` gets it when the step is freed),
 * starts operations in the guest (ops.h, step_exec) or on the host, and returns. Sooner or later, exactly once, it says
 * how the step ended:
 *
 *   step_finish(s, STEP_SUCCESS, e)      it is done. Before: outputs by step_set_output(), variables of later steps by
 *                                        step_set_env() and step_add_path()
 *   step_refuse(s, &why, e)              it failed, and why; the text becomes the step's error annotation
 *   step_try(s, r, e)                    both kinds of a result: with ERR_RUN_FAILED in *e the step is refused, what is
 *                                        worse ends the job. `start` itself need not: its caller does
 *
 * Behind any of these the row does not touch its private state any more. Lines for people are
 * output_note(s->output, e, ...), warnings output_annotate(s->output, "warning", NULL, text, e); both mask.
 *
 * `interrupt` is called when the step is cancelled (s->cancelled) or ran into its limit (s->timed_out), perhaps more
 * than once. A process by step_exec() is signalled by the caller; the row stops what else it does, soon, and ends with
 * step_refuse(). NULL: there is nothing else.
 *
 * A post part. A row that calls builtin_want_post() before its end gets one more step at the end of the job, "Post
 * <name>", in the reverse order of the wishes, also after a failure: in it `post` is called like `start`, with the same
 * spec (inputs are evaluated anew) and the private state of the main part, and ends like it. `post_if` is its
 * condition; NULL: always(). A main part that fails has a post part, too, if it asked before. */
#pragma once

struct err;
struct step;

struct builtin {
        const char *name; /* without version */
        int (*start)(struct step *s, struct err *e);
        void (*interrupt)(struct step *s);
        void (*free)(void *private); /* NULL is never given */
        int (*post)(struct step *s, struct err *e);
        const char *post_if;
};

/* The row of a `uses`; NULL: it is not built in. */
const struct builtin *builtin_find(const char *uses);
/* Enter STEP_BUILTIN. */
int builtin_start(struct step *s, struct err *e);
void builtin_interrupt(struct step *s);
void builtin_free_private(struct step *s);
void builtin_want_post(struct step *s);

/* The rows. */
extern const struct builtin builtin_checkout;          /* checkout.c */
extern const struct builtin builtin_upload_artifact;   /* artifact_upload.c */
extern const struct builtin builtin_download_artifact; /* artifact_download.c */
extern const struct builtin builtin_cache;             /* cache_restore.c */
extern const struct builtin builtin_cache_restore;
extern const struct builtin builtin_cache_save;                       /* cache_save.c */
extern const struct builtin builtin_setup_node, builtin_setup_python; /* setup.h */
extern const struct builtin builtin_setup_go, builtin_setup_java;
