#!/usr/bin/python3
"""Figures of outgoing connections: broker_mb_s, broker_connect_ms. One JSON line each on standard output.

A guest and a server in a network namespace of this bench; a static C program measures in the guest. broker_mb_s: bytes that the server sends
as fast as they are taken, from connect() to the end of the stream. broker_connect_ms: connect(), one byte there and one back, by a listed
name whose address is known; `local_ms` is the same against a server inside the guest, so that the difference is what the way through the
host adds. Needs root."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/lib"))
import devdep  # noqa: E402
import runs  # noqa: E402
import world as worlds  # noqa: E402
from figures import figure  # noqa: E402

MEBIBYTES = int(os.environ.get("BENCH_MEBIBYTES", "128"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "100"))
NAME, FLOOD, ECHO = "bench.example.test", 7000, 7001

PROGRAM = r"""
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int reach(const struct addrinfo *a)
{
        int fd = socket(a->ai_family, SOCK_STREAM, 0);
        if (connect(fd, a->ai_addr, a->ai_addrlen))
                exit(1);
        return fd;
}

static void serve(void)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7001)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(fd, (void *)&at, sizeof(at)) || listen(fd, 16))
                exit(1);
        if (fork())
                return;
        for (char c;;) {
                int peer = accept(fd, 0, 0);
                if (read(peer, &c, 1) == 1)
                        write(peer, &c, 1);
                close(peer);
        }
}

int main(int argc, char **argv)
{
        static char data[1 << 16];
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *a;
        if (strcmp(argv[1], "127.0.0.1") == 0)
                serve();
        if (getaddrinfo(argv[1], argv[2], &hints, &a))
                return 1;
        int n = argc > 3 ? atoi(argv[3]) : 0;
        double start = now(), bytes = 0;
        for (int i = 0; i < n; i++, start = now()) {
                int fd = reach(a);
                if (write(fd, "x", 1) != 1 || read(fd, data, 1) != 1)
                        return 1;
                printf("took %.3f\n", now() - start);
                close(fd);
        }
        if (!n) {
                int fd = reach(a);
                for (ssize_t got; (got = read(fd, data, sizeof(data))) > 0;)
                        bytes += got;
                printf("got %.0f in %.3f\n", bytes, now() - start);
        }
        return 0;
}
"""


def flood(sock):
    block = bytes(1 << 20)
    for _ in range(MEBIBYTES):
        sock.sendall(block)


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


def measure(world, folder):
    state = folder / "state"
    state.mkdir()
    cli = devdep.Cli(state)
    repo = devdep.Repo(folder / "repo")
    (folder / "program.c").write_text(PROGRAM)
    subprocess.run(["musl-gcc", "-O1", "-static", "-o", str(folder / "program"), str(folder / "program.c")], check=True)
    repo.write("program", (folder / "program").read_bytes(), 0o755)
    repo.workflow(f"""
on: push
jobs:
  bench:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: ./program {NAME} {FLOOD}
      - run: ./program {NAME} {ECHO} {CONNECTIONS}
      - run: ./program 127.0.0.1 {ECHO} {CONNECTIONS}
""")
    repo.commit()
    argv = world.on_host(cli.argv("run", "--json", "--dir", repo.path, "--allow", f"{NAME}:{FLOOD}", "--allow", f"{NAME}:{ECHO}"))
    done = subprocess.run(argv, env=cli.env(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: the run failed:\n{done.stdout}{done.stderr}")
    return runs.Run(devdep.Result(argv, 0, done.stdout, done.stderr))["bench"]


def main():
    if reason := worlds.missing() or devdep.default_image_missing():
        print(f"bench: no figures of the broker: {reason}", file=sys.stderr)
        return
    with worlds.World() as world, tempfile.TemporaryDirectory(prefix="devdep-bench-") as folder:
        world.serve(worlds.SERVERS[0], FLOOD, flood)
        world.serve(worlds.SERVERS[0], ECHO, echo)
        world.names.table[NAME] = [worlds.SERVERS[0]]
        job = measure(world, pathlib.Path(folder))
        accelerator = job.started["accelerator"]
        size, took = map(float, re.search(r"got (\d+) in ([\d.]+)", job.steps[1].log).groups())
        figure("broker_mb_s", "MB/s", accelerator, value=size / took / 1000, bytes=int(size))
        times, local = ([float(t) for t in re.findall(r"took ([\d.]+)", step.log)] for step in job.steps[2:4])
        figure("broker_connect_ms", "ms", accelerator, values=times, local_ms=round(sorted(local)[len(local) // 2], 2))


if __name__ == "__main__":
    main()
