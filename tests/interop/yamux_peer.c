/* The library against an independent implementation: usage: yamux_peer client|server open|serve
 *
 * Speaks yamux on descriptor 3. `serve` does what each stream's first line asks, until the connection ends; `open`
 * opens streams and runs every scenario below, printing "ok NAME" for each. The other implementation has both parts,
 * too (yamux_peer.mjs), so that either side opens, in either role. First lines:
 *
 *   echo        send back what comes; half-close after the peer did
 *   sink        count what comes; at its end send "COUNT SUM\n" and half-close
 *   source N    send N bytes of the pattern and half-close
 *   early       send "bye" and half-close at once, count what still comes
 *   last        send the count of the last `early` that ended
 *   reset       reset the stream
 *   resets      send the number of streams that the peer has reset
 *   hold        send "held\n", read nothing until some stream says `release`, then go on as `sink`
 *   release     release all that is held, send "released\n"
 *   goaway      send a go-away
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "wire/yamux.h"

#define FD 3
#define BULK_STREAMS 90u
#define MIB (1024u * 1024u)
#define DEADLINE_MS 60000u
#define MAX_TALKS 512u

enum mode { M_LINE, M_ECHO, M_SINK, M_EARLY, M_CALL /* opened here */ };

struct talk {
        uint32_t id;
        enum mode mode;
        struct buf in;      /* the first line, or what a call received */
        struct buf out;     /* to be written before the pattern */
        uint64_t to_send;   /* bytes of the pattern that are still to be sent */
        uint64_t sent, got; /* of the pattern */
        uint32_t sum;
        size_t unconsumed;
        bool want_close, hold, eof, reset, closed, check_pattern;
};

static struct yamux *y;
static struct talk talks[MAX_TALKS];
static unsigned n_talks;
static unsigned n_resets;
static uint64_t last_early;
static bool goaway, hangup;
static uint32_t pong;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        fprintf(stderr, "yamux_peer: ");
        vfprintf(stderr, fmt, ap);
        fprintf(stderr, "\n");
        va_end(ap);
        exit(1);
}

static uint8_t pattern(uint64_t at)
{
        return (uint8_t)(at * 31 + (at >> 8) * 7);
}

static struct talk *talk_new(uint32_t id, enum mode mode)
{
        if (n_talks == MAX_TALKS)
                die("too many streams");
        struct talk *t = &talks[n_talks++];
        *t = (struct talk){.id = id, .mode = mode, .sum = 1};
        yamux_set_user(y, id, t);
        return t;
}

static void say(struct talk *t, const char *text)
{
        buf_append_str(&t->out, text, NULL);
}

static void consume(struct talk *t, size_t n)
{
        t->unconsumed += n;
        if (t->hold)
                return;
        yamux_consumed(y, t->id, t->unconsumed);
        t->unconsumed = 0;
}

static void release_all(void)
{
        for (unsigned i = 0; i < n_talks; i++) {
                talks[i].hold = false;
                consume(&talks[i], 0);
        }
}

static void on_line(struct talk *t, const char *line)
{
        char text[64];
        t->mode = M_SINK;
        if (strcmp(line, "echo") == 0) {
                t->mode = M_ECHO;
        } else if (strncmp(line, "source ", 7) == 0) {
                t->to_send = strtoull(line + 7, NULL, 10);
                t->want_close = true;
        } else if (strcmp(line, "early") == 0) {
                t->mode = M_EARLY;
                t->want_close = true;
                say(t, "bye");
        } else if (strcmp(line, "last") == 0 || strcmp(line, "resets") == 0) {
                snprintf(text, sizeof(text), "%llu\n", line[0] == 'l' ? (unsigned long long)last_early : n_resets);
                say(t, text);
                t->want_close = true;
        } else if (strcmp(line, "reset") == 0) {
                yamux_reset(y, t->id, NULL);
                t->reset = true;
        } else if (strcmp(line, "hold") == 0) {
                t->hold = true;
                say(t, "held\n");
        } else if (strcmp(line, "release") == 0) {
                release_all();
                say(t, "released\n");
                t->want_close = true;
        } else if (strcmp(line, "goaway") == 0) {
                yamux_goaway(y, 0, NULL);
        } else if (strcmp(line, "sink") != 0) {
                die("unknown line '%s'", line);
        }
}

static void on_bytes(struct talk *t, const uint8_t *data, size_t len)
{
        size_t i = 0;
        while (t->mode == M_LINE && i < len) {
                if (data[i++] == '\n')
                        on_line(t, buf_cstr(&t->in));
                else
                        buf_append_byte(&t->in, data[i - 1], NULL);
        }
        consume(t, i);
        data += i;
        len -= i;
        if (t->reset)
                return;
        for (i = 0; i < len; i++)
                t->sum = t->sum * 31 + data[i];
        if (t->check_pattern) {
                for (i = 0; i < len; i++) {
                        if (data[i] != pattern(t->got + i))
                                die("stream %u: wrong byte at %llu", t->id, (unsigned long long)(t->got + i));
                }
        } else if (t->mode == M_CALL) {
                buf_append(&t->in, data, len, NULL);
        }
        t->got += len;
        if (t->mode == M_ECHO)
                buf_append(&t->out, data, len, NULL); /* consumed when it was written */
        else
                consume(t, len);
}

static void on_eof(struct talk *t)
{
        char text[64];
        t->eof = true;
        if (t->mode == M_EARLY)
                last_early = t->got;
        if (t->mode == M_SINK && !t->want_close) {
                snprintf(text, sizeof(text), "%llu %u\n", (unsigned long long)t->got, t->sum);
                say(t, text);
        }
        if (t->mode != M_CALL)
                t->want_close = true;
}

static void on_event(const struct yamux_event *ev)
{
        struct talk *t = ev->user;
        switch (ev->type) {
        case YAMUX_OPENED:
                talk_new(ev->stream, M_LINE);
                break;
        case YAMUX_DATA:
                on_bytes(t, ev->data, ev->len);
                break;
        case YAMUX_EOF:
                on_eof(t);
                break;
        case YAMUX_RESET:
                t->reset = true;
                n_resets++;
                break;
        case YAMUX_CLOSED:
                t->closed = true;
                break;
        case YAMUX_GOAWAY:
                goaway = true;
                break;
        case YAMUX_PONG:
                pong = ev->value;
                break;
        default:
                break;
        }
}

static void drain(void)
{
        struct yamux_event ev;
        for (yamux_next(y, &ev); ev.type != YAMUX_NONE; yamux_next(y, &ev))
                on_event(&ev);
}

static void feed(struct talk *t)
{
        if (t->reset || t->closed)
                return;
        if (t->out.len) {
                size_t n = yamux_write(y, t->id, t->out.data, t->out.len, NULL);
                buf_consume(&t->out, n);
                if (t->mode == M_ECHO)
                        consume(t, n);
        }
        while (t->out.len == 0 && t->to_send) {
                uint8_t bytes[8192];
                size_t len = MIN(t->to_send, sizeof(bytes));
                for (size_t i = 0; i < len; i++)
                        bytes[i] = pattern(t->sent + i);
                size_t n = yamux_write(y, t->id, bytes, len, NULL);
                t->sent += n;
                t->to_send -= n;
                if (n < len)
                        return;
        }
        if (t->out.len == 0 && t->to_send == 0 && t->want_close)
                yamux_close(y, t->id, NULL);
}

static void read_some(void)
{
        uint8_t bytes[65536];
        ssize_t n = read(FD, bytes, sizeof(bytes));
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                hangup = true;
                return;
        }
        for (size_t at = 0, taken; at < (size_t)n; at += taken) {
                struct err e = ERR_INIT;
                if (yamux_input(y, bytes + at, (size_t)n - at, &taken, &e) < 0)
                        die("%s", e.msg);
                drain();
        }
}

static void write_some(void)
{
        const uint8_t *out;
        size_t n;
        while ((n = yamux_output(y, &out)) > 0) {
                ssize_t w = write(FD, out, n);
                if (w < 0 && errno == EAGAIN)
                        return;
                if (w < 0)
                        hangup = true;
                if (w < 0)
                        return;
                yamux_output_done(y, (size_t)w);
                drain();
        }
}

static void turn(void)
{
        static uint64_t deadline;
        const uint8_t *out;
        if (!deadline)
                deadline = clock_mono_ms() + DEADLINE_MS;
        for (unsigned i = 0; i < n_talks; i++)
                feed(&talks[i]);
        write_some();
        struct pollfd p = {.fd = FD, .events = POLLIN};
        if (yamux_output(y, &out) > 0)
                p.events |= POLLOUT;
        uint64_t now = clock_mono_ms();
        if (now >= deadline)
                die("the peer did not do its part within %u s", DEADLINE_MS / 1000);
        (void)poll(&p, 1, (int)(deadline - now));
        if (p.revents & (POLLIN | POLLHUP | POLLERR))
                read_some();
}

static void turn_alive(void)
{
        turn();
        if (hangup)
                die("the peer hung up");
}

/* --- scenarios of the opener --- */

static struct talk *call(const char *line)
{
        uint32_t id;
        struct err e = ERR_INIT;
        if (yamux_open(y, &id, &e) != 0)
                die("open for '%s': %s", line, e.msg);
        struct talk *t = talk_new(id, M_CALL);
        say(t, line);
        say(t, "\n");
        return t;
}

/* A call whose whole answer is text. */
static const char *ask(const char *line)
{
        struct talk *t = call(line);
        while (!t->eof)
                turn_alive();
        t->want_close = true;
        return buf_cstr(&t->in);
}

static void ping(uint32_t value)
{
        if (yamux_ping(y, value, NULL) != 0)
                die("ping");
        while (pong != value)
                turn_alive();
}

static void bulk(void)
{
        struct talk *t[BULK_STREAMS];
        for (unsigned i = 0; i < BULK_STREAMS; i++) {
                t[i] = call("echo");
                t[i]->check_pattern = true;
                t[i]->to_send = MIB;
                t[i]->want_close = true;
        }
        for (unsigned i = 0; i < BULK_STREAMS; i++) {
                while (!t[i]->closed)
                        turn_alive();
                if (t[i]->got != MIB)
                        die("stream %u: %llu bytes came back", t[i]->id, (unsigned long long)t[i]->got);
        }
}

static void half_close_first_here(void)
{
        struct talk *t = call("sink");
        t->to_send = 300000;
        t->want_close = true;
        while (!t->closed)
                turn_alive();
        if (strncmp(buf_cstr(&t->in), "300000 ", 7) != 0)
                die("sink answered '%s'", buf_cstr(&t->in));
}

static void half_close_first_there(void)
{
        struct talk *t = call("early");
        while (!t->eof)
                turn_alive();
        if (strcmp(buf_cstr(&t->in), "bye") != 0)
                die("early answered '%s'", buf_cstr(&t->in));
        t->to_send = 100000;
        t->want_close = true;
        while (!t->closed)
                turn_alive();
        const char *count = ask("last");
        if (strcmp(count, "100000\n") != 0)
                die("the other side counted %s after its own close", count);
}

static void source(void)
{
        struct talk *t = call("source 700001");
        t->want_close = true;
        while (!t->closed)
                turn_alive();
        if (t->got != 700001)
                die("%llu bytes of 700001", (unsigned long long)t->got);
}

static void reset_there(void)
{
        struct talk *t = call("reset");
        t->to_send = 200000;
        while (!t->reset)
                turn_alive();
}

static void reset_here(void)
{
        unsigned before = (unsigned)strtoul(ask("resets"), NULL, 10);
        struct talk *t = call("echo");
        t->to_send = 10000;
        while (t->got < 1000)
                turn_alive();
        yamux_reset(y, t->id, NULL);
        t->reset = true;
        ping(77);
        unsigned after = (unsigned)strtoul(ask("resets"), NULL, 10);
        if (after != before + 1)
                die("the other side saw %u resets", after - before);
}

static void exhausted_window(void)
{
        struct talk *t = call("hold");
        while (t->in.len < 5)
                turn_alive();
        t->to_send = MIB;
        uint64_t moved = 0;
        /* Full when nothing moved between two answered pings: what the peer had to say about windows came before the
         * second. */
        for (uint32_t value = 1000;; value++) {
                ping(value);
                uint64_t now = t->sent - yamux_unsent(y, t->id);
                if (now == moved && now > 0)
                        break;
                moved = now;
        }
        if (moved >= MIB || t->to_send + yamux_unsent(y, t->id) == 0)
                die("the peer's window never ended");
        if (strcmp(ask("release"), "released\n") != 0)
                die("release");
        t->want_close = true;
        while (!t->closed)
                turn_alive();
        if (strncmp(buf_cstr(&t->in), "held\n1048576 ", 13) != 0)
                die("hold answered '%s'", buf_cstr(&t->in));
}

static void go_away(void)
{
        call("goaway");
        while (!goaway)
                turn_alive();
        uint32_t id;
        if (yamux_open(y, &id, NULL) != YAMUX_E_GOAWAY)
                die("a stream was opened after the go-away");
}

static const struct {
        const char *name;
        void (*run)(void);
} scenarios[] = {
        {"bulk", bulk},
        {"half-close-first-here", half_close_first_here},
        {"half-close-first-there", half_close_first_there},
        {"source", source},
        {"reset-there", reset_there},
        {"reset-here", reset_here},
        {"exhausted-window", exhausted_window},
        {"ping", NULL},
        {"go-away", go_away},
};

static void open_all(void)
{
        for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++) {
                if (scenarios[i].run)
                        scenarios[i].run();
                else
                        ping(0xfffffffe);
                printf("ok %s\n", scenarios[i].name);
                fflush(stdout);
        }
}

int main(int argc, char **argv)
{
        const struct yamux_limits limits = {.max_streams = 256,
                                            .max_send_queue = 64 * 1024,
                                            .max_pending_acks = 256,
                                            .max_control = 64 * 1024,
                                            .max_frame_in = YAMUX_INITIAL_WINDOW};
        if (argc != 3)
                die("usage: yamux_peer client|server open|serve");
        if (yamux_new(strcmp(argv[1], "client") == 0 ? YAMUX_CLIENT : YAMUX_SERVER, &limits, &y, NULL) < 0 ||
            fd_set_nonblock(FD, true, NULL) < 0)
                die("descriptor 3 is not usable");
        if (strcmp(argv[2], "open") == 0) {
                open_all();
        } else {
                while (!hangup)
                        turn();
        }
        for (unsigned i = 0; i < n_talks; i++) {
                buf_done(&talks[i].in);
                buf_done(&talks[i].out);
        }
        yamux_free(y);
        return 0;
}
