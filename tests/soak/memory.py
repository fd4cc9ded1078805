# SPDX-License-Identifier: Apache-2.0
"""Row R7: the n-th allocation of the daemon fails, n = 1 to 5,000, in every verb; TIME does not count, all are run.

    w1 a1 -- dc1: isthmusd with ASan and UBSan, and alloc-fault (tests/fault) in front of their allocator
             aws1: only in the configuration

Counting begins when the verb is asked for.  A verb with fewer allocations ends where nothing failed any more.  After each
failure: no sanitizer report; the daemon answers, or has ended and a new one starts; what was refused left no trace in the
maps, what was granted is all there; and then the same verb, with memory, gives the maps of a daemon that was just started.
Leaks are looked for when the daemon ends, after each verb.
"""
import collections
import contextlib
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess

from lab.fabric import Fabric
from lab.node import build_directory
from lab.room import Lab
from lab.run import LabError, wait_until
from soak.run import Figure

LAST = 5000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# libseccomp 2.5.4 frees twice, or follows what it has freed, when a realloc of its own fails while the filter is made, at the start; nothing that we could
# pass it differently helps.  The process ends there and the next one starts.  Such starts are counted and told.
IN_LIBSECCOMP = re.compile(
    r"attempting double-free.*\n\s+#0 .*\n\s+#1 [^\n]*/libseccomp\.so"
    r"|AddressSanitizer: (?:SEGV|heap-use-after-free) .*\n(?:.*\n){0,3}?\s+#0 [^\n]*/libseccomp\.so"
)

# do(rig): (status, body), 0 = no answer.  status: without a failure.  exact: whatever is granted has the same body.
# A change leads from maps like `before` to `after`, undo(rig) leads back.
Verb = collections.namedtuple("Verb", "name do status exact after undo before", defaults=(200, False, None, None, "base"))


def sanitized_build():
    """The build to run: this one if it is sanitized, else one beside it, made now."""
    if os.environ.get("ISTHMUS_SANITIZED"):
        build = build_directory()
    else:
        build = build_directory().removesuffix("-asan") + "-asan"
    if not os.path.exists(os.path.join(build, "build.ninja")):
        subprocess.run(["meson", "setup", build, ROOT, "-Db_sanitize=address,undefined", "-Db_lundef=false",
                        "-Doptimization=1"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "--quiet", "src/agent/isthmusd", "tests/fault/liballoc-fault.so",
                    "tests/fault/dump-maps"], check=True)
    os.makedirs(os.path.join(build, "reports"), exist_ok=True)
    return build


@contextlib.contextmanager
def using(build):
    before = os.environ.get("ISTHMUS_BUILD")
    os.environ["ISTHMUS_BUILD"] = build
    try:
        yield
    finally:
        if before is None:
            del os.environ["ISTHMUS_BUILD"]
        else:
            os.environ["ISTHMUS_BUILD"] = before


class Fault:
    """struct control of tests/fault/alloc.c"""

    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as f:
            f.truncate(4096)
            self._memory = mmap.mmap(f.fileno(), 4096)

    def arm(self, n, times=1):
        self._memory[:96] = struct.pack("4Q64x", 0, n, times, 0)

    def disarm(self):
        """(allocations since arm(), whether one failed)"""
        count, _, _, fired = struct.unpack_from("4Q", self._memory)
        self._memory[8:16] = bytes(8)
        return count, fired > 0

    @property
    def where(self):
        return self._memory[32:96].split(b"\0")[0].decode()


def make_fabric(networks=2, ports=2, hop=0):
    """As large as asked for; the two ports of dc1 that are plugged in are always there."""
    fabric = Fabric(families=(4, 6))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("aws2", "aws")
    for t in range(networks):
        fabric.tenant(f"t{t}", 5000 + 100 * t)
        fabric.network(f"t{t}/web", vni=5001 + 100 * t, subnets=["10.0.0.0/16", "fd00:1::/64"], gateway=["10.0.0.1"])
        fabric.network(f"t{t}/app", "l3", subnets=["10.1.0.0/16"])
        for p in range(ports):
            fabric.port(f"w{t}-{p}", ("aws1", "aws2")[(p + hop) % 2], f"t{t}/web", [f"10.0.1.{p + 1}", f"fd00:1::{p + 1:x}"])
    fabric.port("w1", "dc1", "t0/web", ["10.0.2.1", "fd00:1::2:1"], mac="02:00:00:01:00:01")
    fabric.port("a1", "dc1", "t0/app", ["10.1.2.1"], mac="02:00:00:01:00:02")
    return fabric


BASE, SMALL, BIG = make_fabric(), make_fabric(ports=3), make_fabric(networks=24, ports=8, hop=1)
WRONG = "version: 1\nnodes: {dc1: 7}\n"
ONE = 'ports:\n  y1: {node: aws1, network: t1/web, mac: "02:00:00:02:00:03", addresses: [10.0.3.3], interface: y1}\n'
MORE = ('ports:\n  x1: {node: aws1, network: t1/web, mac: "02:00:00:02:00:01", addresses: [10.0.3.1], interface: x1}\n'
        '  x2: {node: dc1, network: t1/web, mac: "02:00:00:02:00:02", addresses: [10.0.3.2], interface: x2}\n')


class Rig:
    def __init__(self, lab, build):
        self.lab, self.build, self.node = lab, build, lab.nodes["dc1"]
        self.fault = Fault(os.path.join(lab.run.directory, "fault"))
        self.socket = os.path.join(self.node.daemon.run_dir, "isthmus.sock")
        self.restarts, self.points, self.in_libseccomp = 0, 0, 0
        self.node.daemon.write_config(BASE.yaml())

    def start(self):
        self.node.daemon.start(environment={
            "LD_PRELOAD": os.path.join(self.build, "tests", "fault", "liballoc-fault.so"),
            "ALLOC_FAULT": self.fault.path,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        })

    def report(self):
        """What the sanitizers had to say in the daemon that was started last."""
        path = os.path.join(self.build, "reports", f"isthmusd.{self.node.daemon.process.pid}")
        with open(path, errors="replace") as f:
            return f.read()

    def end(self):
        """SIGTERM; the search for leaks is part of it."""
        p = self.node.daemon.process
        p.send_signal(signal.SIGTERM)
        p.wait(60)
        assert not self.report() and p.returncode == 0, f"at the end ({p.returncode}): {self.report()}"

    def fresh(self, yaml, more=None, *words):
        """The maps of a daemon that was just started with this configuration; then all is taken down."""
        daemon = self.node.daemon
        daemon.write_config(yaml)
        self.start()
        if more:
            answer = self.request("POST", "/v1/ports", more)
            assert answer[0] == 200, answer
            self.end()
            self.node.ns.command(*daemon.argv("--teardown"))
            self.start()
        maps = self.maps(*words)
        self.end()
        self.node.ns.command(*daemon.argv("--teardown", "--purge"))
        daemon.write_config(BASE.yaml())
        return maps

    def maps(self, *words):
        return subprocess.run([os.path.join(self.build, "tests", "fault", "dump-maps"), self.node.daemon.bpf_dir, *words],
                              text=True, check=True, capture_output=True).stdout

    def request(self, method, path, body=""):
        """(status, body); (0, "") when there was no answer, or only a part of one."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(self.socket)
                s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                          f"{body}".encode())
                while piece := s.recv(65536):
                    answer += piece
        except TimeoutError:
            raise
        except OSError:  # closed, for want of memory
            pass
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        whole = len(rest) == int(length[1]) if length else rest.endswith(b"0\r\n\r\n")
        return (int(head[9:12]), rest.decode(errors="replace")) if whole else (0, "")

    def alive(self):
        """Still there; if it ended then in order, and another one is started."""
        p = self.node.daemon.process
        try:
            status = self.request("GET", "/v1/version")[0]
            if status == 200:
                return
        except TimeoutError:
            pass
        assert wait_until(lambda: p.poll() is not None, 20, "an answer or the end of the daemon")
        assert not self.report() and p.returncode == 1, f"ended with {p.returncode}: {self.report()}"
        self.restarts += 1
        self.start()

    def is_well(self):
        status, body = self.request("GET", "/v1/status")
        return status == 200 and not [r for r in json.loads(body)["reasons"] if "sandbox" not in str(r)]

    def hold(self, maps, what, *words):
        """The audit may still have to put right what failed."""
        try:
            wait_until(lambda: self.maps(*words) == maps, 5, "equal maps", every=0.05)
        except LabError:
            ours, theirs = set(self.maps(*words).split("\n")), set(maps.split("\n"))
            more, less = "\n  ".join(sorted(ours - theirs)), "\n  ".join(sorted(theirs - ours))
            raise AssertionError(f"{what}: maps differ; too much:\n  {more}\nmissing:\n  {less}") from None


def apply(fabric):
    text = fabric.yaml()
    return lambda rig: rig.request("POST", "/v1/apply?name=test", text)


def get(path, status=200):
    exact = status == 200 and path.startswith("/v1/") and path.split("/")[2] not in ("status", "doctor", "drops")
    return Verb("GET " + path, lambda rig: rig.request("GET", path), status, exact)


def port_del(rig):
    return rig.request("DELETE", "/v1/ports/y1")


def more_del(rig):
    return max(rig.request("DELETE", "/v1/ports/x1"), rig.request("DELETE", "/v1/ports/x2"))


def reload(rig):
    """SIGHUP; the answer that follows shows that it was dealt with."""
    rig.node.daemon.write_config(SMALL.yaml())
    rig.node.daemon.signal(signal.SIGHUP)
    return rig.request("GET", "/v1/config")


def back(rig):
    rig.node.daemon.write_config(BASE.yaml())
    return apply(BASE)(rig)


def flap(rig):
    """A workload's interface goes down and up, and somebody takes our program away."""
    rig.node.ns.ip("link set w1 down\nlink set w1 up")
    rig.node.ns.tc("filter", "del", "dev", "w1", "ingress")
    return rig.request("GET", "/v1/ports/w1")


READS = [get(p) for p in (
    "/v1/status", "/v1/version", "/v1/doctor", "/v1/config", "/v1/drops", "/v1/drops/mac_spoofed", "/metrics",
    "/v1/openapi.json", "/v1/schema/Port",
    *(f"/v1/{kind}?all=1" for kind in ("sites", "nodes", "tenants", "networks", "ports", "macs", "hosts", "routes")),
    "/v1/sites/dc", "/v1/nodes/dc1", "/v1/tenants/t0", "/v1/networks/t0/web", "/v1/ports/w1", "/v1/macs/02:00:00:01:00:01",
    "/v1/hosts/10.0.2.1", "/v1/routes/10.0.2.1")] + [get("/v1/no-such-path", 404)]

CHANGES = [
    Verb("check: apply of a wrong file", lambda rig: rig.request("POST", "/v1/apply?dry_run=1", WRONG), 422),
    Verb("diff: dry run", lambda rig: rig.request("POST", "/v1/apply?dry_run=1", BIG.yaml()), exact=True),
    Verb("apply, nothing new", apply(BASE)),
    Verb("apply, a small change", apply(SMALL), after="small", undo=back),
    Verb("apply, a large change", apply(BIG), after="big", undo=back),
    Verb("port add", lambda rig: rig.request("POST", "/v1/ports", MORE), after="more", undo=more_del),
    Verb("port del", port_del, after="base", undo=lambda rig: rig.request("POST", "/v1/ports", ONE), before="one"),
    Verb("reload (SIGHUP)", reload, after="small", undo=back),
    Verb("interface down, up, drift", flap),
]
VERBS = {v.name: v for v in READS + CHANGES}


def references(rig):
    """name -> maps of a daemon that was just started with it; "used": with base, and the number of its next hops"""
    return {"base": rig.fresh(BASE.yaml()), "small": rig.fresh(SMALL.yaml()), "big": rig.fresh(BIG.yaml()),
            "more": rig.fresh(BASE.yaml(), MORE), "one": rig.fresh(BASE.yaml(), ONE),
            "used": rig.fresh(BASE.yaml(), None, "used")}


def settle(rig, verb, maps, status):
    """What was granted is all there, what was refused left no trace; the verb, with memory, does what it says."""
    before, after = maps[verb.before], maps[verb.after]
    if status == 0 or verb.do is reload:  # nobody was told: one or the other
        wait_until(lambda: rig.maps() in (before, after), 5, "maps as before or as wanted", every=0.05)
    else:
        rig.hold(after if status == 200 else before, f"after the answer {status}")
    again = verb.do(rig)
    assert again[0] in (200, 404 if verb.do is port_del else 409), f"the same again: {again}"
    rig.hold(after, "the same with memory")
    undone = verb.undo(rig)
    assert undone[0] == 200, f"the way back: {undone}"
    rig.hold(before, "the way back")


def body_of(answer):
    """What must be equal: all but counters, times and the like."""
    return re.sub(r"[0-9]+", "0", answer[1])


def point(rig, verb, maps, n, whole):
    """One failure and what must hold after it; False when the verb had fewer allocations."""
    rig.fault.arm(n)
    answer = verb.do(rig)
    count, fired = rig.fault.disarm()
    try:
        rig.alive()
        if verb.exact and answer[0] == verb.status:
            assert body_of(answer) == whole, f"another answer than with memory: {answer[1][:2000]}"
        if verb.after:
            settle(rig, verb, maps, answer[0])
        if verb in CHANGES:
            wait_until(rig.is_well, 5, "no reason to be degraded")
    except (AssertionError, LabError, OSError) as e:
        raise AssertionError(f"{verb.name}, allocation {n} of {count} ({rig.fault.where}), answer {answer[0]}: {e}") from None
    rig.points += fired
    return fired


def run_verb(rig, verb, maps, numbers):
    """The failures of one verb; their number."""
    points = rig.points
    if verb.before != "base":
        assert verb.undo(rig)[0] == 200
    whole = verb.do(rig)
    assert whole[0] == verb.status, f"{verb.name}, without a failure: {whole}"
    if verb.after:
        assert verb.undo(rig)[0] == 200
    for n in numbers:
        if not point(rig, verb, maps, n, body_of(whole)):
            break
    rig.alive()
    if verb.before != "base":
        assert verb.do(rig)[0] == 200
    rig.hold(maps["used"], f"{verb.name}: in the end", "used")
    rig.end()
    rig.start()
    return rig.points - points


@contextlib.contextmanager
def rig():
    build = sanitized_build()
    with using(build), Lab(make_fabric(), start=False) as lab:
        yield Rig(lab, build)


def start_point(rig, maps, n):
    """The n-th allocation of a start fails: it works nevertheless or ends in order, and the next one works."""
    daemon = rig.node.daemon
    rig.fault.arm(n)
    try:
        rig.start()
    except LabError:
        assert not daemon.running, f"start, allocation {n}: neither ready nor ended"
    count, fired = rig.fault.disarm()
    where = f"start, allocation {n} of {count} ({rig.fault.where})"
    report = rig.report()
    if IN_LIBSECCOMP.search(report):
        rig.in_libseccomp += 1
        rig.start()
        report = ""
    assert not report, f"{where}: {report}"
    if not daemon.running:
        assert daemon.process.returncode in (1, 2), f"{where}: ended with {daemon.process.returncode}"
        rig.start()
    try:
        rig.alive()
        rig.hold(maps["base"], "after the start")
        assert back(rig)[0] == 200  # it may have started from the snapshot, and says so until the file is read
        wait_until(rig.is_well, 5, "no reason to be degraded")
        rig.end()
    except (AssertionError, LabError) as e:
        raise AssertionError(f"{where}: {e}") from None
    rig.points += fired
    return fired


def soak(seconds, verbs=None, last=LAST):
    with rig() as r:
        maps = references(r)
        r.start()
        figures = []
        for verb in verbs or VERBS.values():
            figures.append(Figure(f"{verb.name}: allocations that failed", run_verb(r, verb, maps, range(1, last + 1)), "", "> 0"))
        r.end()
        before = r.points
        for n in range(1, last + 1):
            if not start_point(r, maps, n):
                break
        return [*figures, Figure("start: allocations that failed", r.points - before, "", "> 0"),
                Figure("start: ended by a double free inside libseccomp", r.in_libseccomp),
                Figure("all", r.points, "", "> 0"), Figure("restarts", r.restarts)]
