"""What makes a guest another one than its siblings, as a step of a job sees it: a probe that runs in the guest, and comparisons."""
import json

# Runs as root. ISN: of four connections between fixed ports the first sequence number, without the part that counts time (the kernel adds
# the clock in units of 64 ns); what remains is a hash with the secret of this kernel. CPU: each processor draws from a generator of its own.
PROBE = r"""
import ctypes, fcntl, json, os, re, socket, struct, subprocess, sys, time

def text(path):
    with open(path) as f:
        return f.read().strip()

def auxv_random():
    with open("/proc/self/auxv", "rb") as f:
        pairs = dict(struct.iter_unpack("QQ", f.read()))
    return ctypes.string_at(pairs[25], 16).hex()

def isn(port):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind(("lo", 0))
    wire.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.connect_ex(("127.0.0.1", port + 1))
    while True:
        data, ancillary, _, _ = wire.recvmsg(128, 64)
        source, flags = struct.unpack("!H", data[34:36])[0], data[47]
        if data[23] == 6 and source == port and flags == 2:
            (number,) = struct.unpack("!I", data[38:42])
            seconds, ns = struct.unpack("qq", ancillary[0][2])
            return (number - ((seconds * 10**9 + ns) >> 6)) % 2**32

def table_key(name):
    # DM_TABLE_STATUS with DM_STATUS_TABLE_FLAG: the third word of a crypt table is the key.
    node = "/tmp/mapper-control"
    if not os.path.exists(node):
        minor = int(re.search(r"(\d+) device-mapper", text("/proc/misc"))[1])
        os.mknod(node, 0o20600, os.makedev(10, minor))
    q = bytearray(4096)
    struct.pack_into("IIIII", q, 0, 4, 0, 0, len(q), 312)
    struct.pack_into("I", q, 28, 1 << 4)
    q[48:48 + len(name)] = name.encode()
    with open(node, "rb") as f:
        fcntl.ioctl(f, 0xC138FD0C, q)
    return bytes(q[312 + 40:]).split(b"\0")[0].split()[1].decode()

def drawn():
    maps = text("/proc/self/maps")
    return {"uuid": text("/proc/sys/kernel/random/uuid"), "urandom": os.urandom(32).hex(), "at_random": auxv_random(),
            "hash_seed": hash("devdep"), "layout": re.search(r"(\S+)-\S+ .*\[stack\]", maps)[1] + re.search(r"(\S+)-.*libc", maps)[1]}

if len(sys.argv) > 1:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    if len(sys.argv) > 2:
        print(json.dumps(drawn()))
    else:
        os.execv(sys.executable, [sys.executable, *sys.argv, "drawn"])
    sys.exit()

found = {"boot_id": text("/proc/sys/kernel/random/boot_id"), "machine_id": text("/etc/machine-id"), "hostname": socket.gethostname(),
         "kernel_boot_id": text("/run/.proc/sys/kernel/random/boot_id"), "scratch_key": table_key("devdep-scratch"),
         "isn": [isn(port) for port in (40000, 41000, 42000, 43000)]}
for cpu in sorted(os.sched_getaffinity(0)):
    one = json.loads(subprocess.run([sys.executable, sys.argv[0], str(cpu)], check=True, stdout=subprocess.PIPE).stdout)
    found.update({f"{name}_cpu{cpu}": value for name, value in one.items()})
print("IDENTITY " + json.dumps(found), flush=True)
"""

STEPS = [{"name": "clock", "run": 'for i in $(seq 20); do echo "CLOCK $EPOCHREALTIME"; sleep 0.02; done'},
         {"name": "probe", "run": 'printf %s "$PROBE" >probe.py; exec sudo python3 $PWD/probe.py', "env": {"PROBE": PROBE}}]

NAMES = ["boot_id", "machine_id", "hostname", "kernel_boot_id", "scratch_key", "isn",
         *(f"{name}_cpu{cpu}" for cpu in (0, 1) for name in ("uuid", "urandom", "at_random", "hash_seed", "layout"))]
RANDOM = [name for name in NAMES if name not in ("boot_id", "machine_id", "hostname")]  # drawn in the guest, not told by the seed
NEAR = 5_000_000 >> 6  # 5 ms in units of the sequence number's clock: what lies between the number and its packet's time


class Identity:
    """What one guest said, from the events of its job's journal."""

    def __init__(self, events):
        logs = [e for e in events if e["type"] == "log" and e["stream"] == "out"]
        said = "".join(e["text"] for e in logs)
        line = next((line for line in said.splitlines() if line.startswith("IDENTITY ")), None)
        assert line, said
        self.values = json.loads(line[len("IDENTITY "):])
        # A line is written when its event comes or before: the least difference is the clock's, but for the way's time.
        self.clock_ahead_ms = max(float(line.split()[1]) * 1e3 - e["t"] for e in logs for line in e["text"].splitlines() if line.startswith("CLOCK "))


def same(name, a, b):
    if name != "isn":
        return a == b
    return all(min((x - y) % 2**32, (y - x) % 2**32) < NEAR for x, y in zip(a, b))


def shared(identities, name):
    """Pairs of guests that have the same value."""
    values = [i.values[name] for i in identities]
    return [(i, j) for i in range(len(values)) for j in range(i) if same(name, values[i], values[j])]
