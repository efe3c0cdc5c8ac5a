#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct err_info table[] = {
        {ERR_SUCCESS, "SUCCESS", 0, 0, "Everything succeeded.", "Nothing to do."},
        {ERR_RUN_FAILED, "ERR_RUN_FAILED", 1, 0, "A job failed, or ran into its own time limit.",
         "Read the failed step's last lines in the summary, or `devdep-cli logs`."},
        {ERR_USAGE, "ERR_USAGE", 2, 0, "The arguments or a file are invalid.",
         "Correct what the message names; `--help` and the manual page give the form."},
        {ERR_CANCELLED, "ERR_CANCELLED", 130, 1, "The run was cancelled.", "Start it again."},
        {ERR_NO_RUNNER, "ERR_NO_RUNNER", 6, 0, "No runner or image exists for a label.",
         "Build or import an image (`devdep-cli image build`), or map the label to one."},
        {ERR_IMAGE_REFUSED, "ERR_IMAGE_REFUSED", 7, 0,
         "The signature or digest of an image, or of the log of records, is wrong.",
         "Run `devdep-cli image verify`, and build the image again or trust its signer's key; or `devdep-cli records "
         "verify`."},
        {ERR_OIDC_TIMEOUT, "ERR_OIDC_TIMEOUT", 101, 1, "The identity provider did not answer in time.",
         "Check the provider and sign on again."},
        {ERR_DOMAIN_RESTRICTED, "ERR_DOMAIN_RESTRICTED", 102, 0, "The mail domain may not sign on.",
         "Use an account of a registered domain, or have an administrator register it."},
        {ERR_VAULT_MISMATCH, "ERR_VAULT_MISMATCH", 201, 0, "A secret could not be had.",
         "Correct what the message names: the reference in devdep.yaml, this host's vault.conf, or the provider's "
         "policy; `devdep-cli validate` asks again."},
        {ERR_VM_BOOT_FAILED, "ERR_VM_BOOT_FAILED", 45, 1, "The guest did not boot.",
         "Read the console's last lines; `devdep-cli doctor` checks the host."},
        {ERR_GUEST_LOST, "ERR_GUEST_LOST", 46, 1, "The guest, its VMM or its runner ended in the middle of a job.",
         "Start the job again; a job that powers off or panics its guest always ends so."},
        {ERR_PROTOCOL, "ERR_PROTOCOL", 47, 0, "The guest broke the protocol and was cut off.",
         "Look for a program in the job that writes to the agent's channel."},
        {ERR_RESOURCES, "ERR_RESOURCES", 48, 1, "The host lacks memory, disk, a limit or a system call.",
         "Free what the message names, or raise its limit (docs/limits.md); `devdep-cli doctor` checks the host."},
        {ERR_EGRESS_VIOLATION, "ERR_EGRESS_VIOLATION", 145, 0, "The job tried to reach what its profile does not name.",
         "Add the destination to the profile, or remove the connection from the job."},
};

const struct err_info *err_table(unsigned *n)
{
        *n = sizeof(table) / sizeof(table[0]);
        return table;
}

const struct err_info *err_info(enum err_code code)
{
        const struct err_info *fallback = NULL;
        for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (table[i].code == code)
                        return &table[i];
                if (table[i].code == ERR_RUN_FAILED)
                        fallback = &table[i];
        }
        return fallback;
}

/* Mark a text that snprintf had to cut; `want` is what it returned. The cut never goes through a character: a message
 * that is no UTF-8 could not be written to a record. */
static void mark_cut(char msg[ERR_MAX_MESSAGE], int want)
{
        size_t at = ERR_MAX_MESSAGE - 4;

        if (want < ERR_MAX_MESSAGE)
                return;
        for (int i = 0; i < 3 && ((unsigned char)msg[at] & 0xc0) == 0x80; i++)
                at--;
        memcpy(msg + at, "...", 4);
}

int err_set_at(struct err *e, enum err_code code, int errnum, const char *origin, const char *fmt, ...)
{
        if (!e)
                return -1;
        /* The arguments may point into e->msg. */
        char text[ERR_MAX_MESSAGE];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (n < 0)
                n = snprintf(text, sizeof(text), "%s", fmt);
        mark_cut(text, n);
        e->code = code;
        e->errnum = errnum;
        e->origin = origin;
        if (errnum)
                n = snprintf(e->msg, sizeof(e->msg), "%s: %s", text, strerror(errnum));
        else
                n = snprintf(e->msg, sizeof(e->msg), "%s", text);
        mark_cut(e->msg, n);
        return -1;
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
        if (!e)
                return r;
        char text[ERR_MAX_MESSAGE], whole[ERR_MAX_MESSAGE];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (n < 0)
                return r;
        n = snprintf(whole, sizeof(whole), "%s: %s", text, e->msg);
        mark_cut(whole, n);
        memcpy(e->msg, whole, sizeof(whole));
        return r;
}
