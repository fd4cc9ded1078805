# SPDX-License-Identifier: Apache-2.0
"""Row R10: endpoints and ports come and go, files are applied, all under traffic: nothing grows, nothing is lost.

    w1 r1, c0 c1 ... (come and go) -- dc1 -- wan -- aws1 -- w2 r2       e0 e1 ...: endpoints that dc1 is told of

100 changes of endpoints, 10 port adds and 10 port deletes (each with its interface) a second, and an apply now and
then; all at dc1.  In between the daemon is looked at: memory, descriptors, maps, programs, sockets.
"""
import collections
import contextlib
import http.client
import os
import re
import socket
import statistics
import subprocess
import time

from lab.fabric import Fabric, to_yaml
from lab.host import TcpFlows, UdpStream
from lab.room import Lab
from lab.run import LabError, wait_until
from soak.run import Figure

ENDPOINTS_PER_S, PORTS_PER_S = 100, 10
ENDPOINTS, PORTS = 400, 20  # that there are at most at a time


def make_fabric():
    fabric = Fabric()
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.node("aws2", "aws", foreign=True)  # only an address that endpoints move to
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.0.0/16", "fd00:1::/64"], gateway=["10.0.0.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.1.0.0/16", "fd00:2::/64"], gateway=["10.1.0.1", "fd00:2::1"])
    for n, node in ((11, "dc1"), (12, "aws1")):
        fabric.port(f"w{n - 10}", node, "red/web", [f"10.0.0.{n}", f"fd00:1::{n}"])
        fabric.port(f"r{n - 10}", node, "red/app", [f"10.1.0.{n}", f"fd00:2::{n}"])
    return fabric


class Api:
    """One connection that stays open, as a controller holds one."""

    def __init__(self, node):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(10)
        self._socket.connect(os.path.join(node.daemon.run_dir, "isthmus.sock"))
        self._http = http.client.HTTPConnection("localhost")
        self._http.sock = self._socket

    def ask(self, method, path, body=None):
        self._http.request(method, path, body)
        answer = self._http.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise LabError(f"{method} {path}: {answer.status} {text[:500]}")

    def close(self):
        self._socket.close()


class Endpoints:
    """Endpoints of other nodes that are made, move with other addresses, and go again: each request is one change."""

    def __init__(self, api):
        self.api, self.changes, self.there = api, 0, []

    def change(self):
        n = self.changes
        if len(self.there) >= ENDPOINTS or (n % 2 and self.there):
            self.api.ask("DELETE", f"/v1/ports/{self.there.pop(0)}")
        else:
            name, k = f"e{n}", n % 50000
            l3 = n % 4 == 0
            foreign = n // 2 % 2 and not l3
            port = {
                "node": "aws2" if foreign else "aws1",
                **({} if foreign else {"interface": name}),
                "network": "red/app" if l3 else "red/web",
                "mac": f"02:00:01:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}",
                "addresses": [
                    f"10.{int(l3)}.{1 + k // 250}.{1 + k % 250}",
                    f"fd00:{1 + l3}::1:{n & 0xffff:x}",
                ],
            }
            self.api.ask("POST", "/v1/ports", to_yaml({"ports": {name: port}}))
            self.there.append(name)
        self.changes += 1

    def clear(self):
        while self.there:
            self.api.ask("DELETE", f"/v1/ports/{self.there.pop()}")


class Ports:
    """Workloads of this node that are born and die: the interface first, then the port; and the other way round."""

    def __init__(self, api, node, lines):
        self.api, self.node, self.lines = api, node, lines
        self.added, self.there = 0, []

    def add(self):
        n = self.added
        name, address = f"c{n}", f"10.0.250.{1 + n % 200}"
        self.lines(f"link add c{n} up type veth peer name d{n}")
        self.lines(f"link set d{n} up")
        port = {
            "node": self.node.name,
            "interface": name,
            "network": "red/web",
            "mac": f"02:00:02:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}",
            "addresses": [address],
        }
        self.api.ask("POST", "/v1/ports", to_yaml({"ports": {name: port}}))
        self.added += 1
        self.there.append(name)

    def remove(self):
        name = self.there.pop(0)
        self.api.ask("DELETE", f"/v1/ports/{name}")
        self.lines(f"link del {name}")

    def turn(self):
        self.add()
        if len(self.there) > PORTS:
            self.remove()

    def clear(self):
        while self.there:
            self.remove()


def ip_lines(node):
    """An `ip` that takes lines for as long as it lives; a process for each would cost more than what is measured."""
    argv = ["ip", "-n", node.ns.full_name, "-force", "-batch", "-"]
    p = node.run.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, bufsize=1)
    return p, lambda line: p.stdin.write(line + "\n")


# ---- what a daemon holds


def resident_kb(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])


def held(node):
    """Descriptors by what they refer to (a namespace is "net:[]"), and the identities of maps and programs."""
    base = f"/proc/{node.daemon.process.pid}"
    found = {"fds": collections.Counter(), "maps": set(), "programs": set()}
    for fd in os.listdir(f"{base}/fd"):
        try:
            target = os.readlink(f"{base}/fd/{fd}")
            with open(f"{base}/fdinfo/{fd}") as f:
                info = f.read()
        except OSError:
            continue
        found["fds"][re.sub(r"\d+", "", target)] += 1
        found["maps"] |= set(re.findall(r"^map_id:\s+(\d+)", info, re.M))
        found["programs"] |= set(re.findall(r"^prog_id:\s+(\d+)", info, re.M))
    return found


def sockets_of(node):
    """Each of them holds on to the namespace."""
    with open(f"/proc/{node.daemon.process.pid}/net/sockstat") as f:
        return int(re.search(r"^sockets: used (\d+)", f.read(), re.M)[1])


def state_of(node):
    """What must be the same before and after: taken when nothing is under way, and before questions are asked, whose
    connections take up to half a second to end.
    """
    look = {**held(node), "sockets": sockets_of(node)}
    tables = {k: v for k, v in node.metrics().items() if k.startswith("isthmus_table_entries")}
    return {
        **look,
        "links": len(node.ns.ip_json("link")),
        "endpoints": node.isthmus("status", json_output=True)["endpoints"],
        "tables": tables,
    }


def slope_per_s(samples):
    """Least squares of (seconds, value)."""
    return statistics.linear_regression(*zip(*samples)).slope if len(samples) > 2 else 0.0


# ---- the run


class Churn:
    def __init__(self, lab, apply_every):
        self.lab, self.node, self.apply_every = lab, lab.node("dc1"), apply_every
        self.api = Api(self.node)
        self.endpoints = Endpoints(self.api)
        self._ip, lines = ip_lines(self.node)
        self.ports = Ports(self.api, self.node, lines)
        self.applies, self.samples, self.most = 0, [], {"fds": 0, "maps": set(), "programs": set()}
        self._texts = [lab.fabric.yaml()]
        other = lab.fabric.copy()
        other.network("red/more", vni=5002, subnets=["10.2.0.0/16"], gateway=["10.2.0.1"])
        self._texts.append(other.yaml())

    def apply(self):
        self.applies += 1
        self.node.apply(self._texts[self.applies % 2])

    def look(self, now):
        self.samples.append((now, resident_kb(self.node.daemon)))
        h = held(self.node)
        self.most["fds"] = max(self.most["fds"], h["fds"].total())
        for kind in ("maps", "programs"):
            self.most[kind] |= h[kind]

    def run(self, seconds):
        """Every kind of change has its clock; who is late catches up, in turn with the others."""
        clocks = [
            [0.0, 1 / ENDPOINTS_PER_S, self.endpoints.change],
            [0.0, 1 / PORTS_PER_S, self.ports.turn],
            [self.apply_every, self.apply_every, self.apply],
            [0.0, 1.0, lambda: self.look(time.monotonic() - start)],
        ]
        start = time.monotonic()
        while (now := time.monotonic() - start) < seconds:
            for clock in [c for c in clocks if c[0] <= now]:
                clock[2]()
                clock[0] += clock[1]
            due = start + min(c[0] for c in clocks)
            wait_until(lambda: time.monotonic() >= due, 2, "the next turn")
        return time.monotonic() - start

    def clear(self):
        self.ports.clear()
        self.endpoints.clear()
        if self.applies % 2:
            self.apply()
        self.api.close()
        self._ip.stdin.close()  # it ends when it has done all
        self._ip.wait(10)


LOOKS_S = 1.5  # between two looks: longer than a connection takes to end


def quiet_state(node):
    """state_of when nothing is under way: the connections of those who asked are closed, and two looks agree."""
    seen = [None]

    def same():
        last, seen[0] = seen[0], state_of(node)
        return last == seen[0]

    wait_until(same, 20, "a daemon at rest", every=LOOKS_S)
    return seen[0]


def churn(lab, seconds, apply_every, warm_up, least=0.9):
    """The figures of a run, with their bounds.  `least`: so much of the rates must have been reached."""
    node = lab.node("dc1")
    # Once round before anything is counted: tables, buffers and the allocator get the size that they will have.
    links = len(node.ns.ip_json("link"))
    first = Churn(lab, apply_every)
    first.run(warm_up)
    first.clear()
    wait_until(lambda: len(node.ns.ip_json("link")) == links, 5, "the interfaces gone")
    before, resident = quiet_state(node), resident_kb(node.daemon)
    w1, w2, r1, r2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2"))
    streams = [
        UdpStream(w1, w2),
        UdpStream(w2, w1, v6=True),
        UdpStream(r1, r2, v6=True, port=7010, rate=200),
    ]
    flows = TcpFlows(w1, w2, 20)
    for s in streams:
        s.wait_flowing()
    c = Churn(lab, apply_every)
    c.endpoints.changes, c.ports.added = first.endpoints.changes, first.ports.added
    e, p = c.endpoints.changes, c.ports.added
    took = c.run(seconds)
    e, p = (c.endpoints.changes - e) / took, (c.ports.added - p) / took
    for s in streams:
        s.wait_flowing()
    flows.wait_flowing()
    reports, tcp = [s.stop(10) for s in streams], flows.stop()
    c.clear()
    with contextlib.suppress(LabError):  # a connection of the last question may take its time to end; a lost one stays
        wait_until(lambda: state_of(node) == before, 15, "as it was", every=LOOKS_S)
    after = quiet_state(node)
    growth = slope_per_s([s for s in c.samples if s[0] >= seconds / 4]) * 3600 / 1024
    figures = [
        Figure("endpoint changes", e, "/s", f">= {least * ENDPOINTS_PER_S:g}"),
        Figure("port adds, and as many deletes", p, "/s", f">= {least * PORTS_PER_S:g}"),
        Figure("applies", c.applies, "", f">= {int(least * seconds / apply_every)}"),
        Figure("packets sent", sum(r["sent"] for r in reports)),
        Figure("packets lost", sum(r["lost"] for r in reports), "", "= 0"),
        Figure("packets doubled", sum(r["duplicates"] for r in reports), "", "= 0"),
        Figure("TCP flows that died", 20 - tcp["alive"], "", "= 0"),
        Figure("resident memory before", resident, "KB"),
        Figure("more of it after", resident_kb(node.daemon) - resident, "KB", "<= 1024"),
        Figure("descriptors while changing, more than before", c.most["fds"] - before["fds"].total(), "", "<= 8"),
        Figure("maps that were not there before", len(c.most["maps"] - before["maps"]), "", "= 0"),
        Figure("programs that were not there before", len(c.most["programs"] - before["programs"]), "", "= 0"),
    ]
    for what in before:
        if before[what] != after[what]:
            print(f"  {what}: {before[what]} before, {after[what]} after")
        figures.append(Figure(f"{what} that differ in the end", int(before[what] != after[what]), "", "= 0"))
    if seconds >= 1800:
        figures.append(Figure("slope of the resident memory", growth, "MB/h", "< 1"))
    else:
        figures.append(Figure("slope of the resident memory (too short to be judged)", growth, "MB/h"))
    figures.append(Figure("exit status of the daemon", node.daemon.stop(), "", "= 0"))
    return figures


def soak(seconds):
    with Lab(make_fabric()) as lab:
        return churn(lab, seconds, min(60, max(5, seconds / 12)), min(300, seconds / 6))
