# SPDX-License-Identifier: Apache-2.0
"""Two tunnels that do not hear each other, and two relays that both reach.

    a ----+              +---- b        each in a net of its own behind the router w, which lets nothing through
          +----- w ------+              between a and b while the wall stands
    r ----+              +---- s        r and s carry
"""
import base64
import contextlib
import os
import socket
import struct
import subprocess

import pytest
from helpers import Clock

from lab.capture import Tap
from lab.netns import make_namespaces
from lab.node import build_directory
from lab.run import Run, command, wait_until
from lab.wireguard import PORT, Flow, Tunnel, in_hex, key_pair, ping, stream

A, B, R, S = range(4)
CANARY = b"canary" * 20
FIRST_TRY_S, DIRECT_S = 6, 61  # timers.h; relay.h


class Walled:
    def __init__(self, family):
        self.run, self.v6, self.before = Run(), family == "6", {}
        try:
            self.w, *self.ns = make_namespaces(self.run, ["w", "a", "b", "r", "s"])
            self.w.write_sysctl("net/ipv4/ip_forward", 1)
            self.w.write_sysctl("net/ipv6/conf/all/forwarding", 1)
            self.clocks = [Clock(os.path.join(self.run.directory, n.name)) for n in self.ns]
            self.private = [base64.b64encode(os.urandom(32)).decode() for _ in self.ns]
            for i, ns in enumerate(self.ns):
                self.plug(i, ns)
            self.wall()
            self.tunnels = [None] * 4
            for i in range(4):
                self.start(i)
            self.keys = [t.public for t in self.tunnels]
            for i in range(4):
                self.introduce(i)
        except BaseException:
            self.run.close()
            raise

    def plug(self, i, ns):
        command(["ip", "-n", self.w.full_name, "link", "add", f"w{i}", "type", "veth", "peer", "name", "up0", "netns", ns.full_name])
        self.w.ip(f"addr add 198.18.{i}.254/24 dev w{i}\naddr add 2001:db8:{i}::fe/64 dev w{i} nodad\nlink set w{i} up")
        ns.ip(f"""addr add 198.18.{i}.1/24 dev up0
                  addr add 2001:db8:{i}::1/64 dev up0 nodad
                  link set up0 up
                  route add default via 198.18.{i}.254
                  route add default via 2001:db8:{i}::fe""")

    def address(self, i):
        return f"2001:db8:{i}::1" if self.v6 else f"198.18.{i}.1"

    def inside(self, i):
        return f"fd09::{i + 1}" if self.v6 else f"10.9.0.{i + 1}"

    def wall(self):
        kind, a, b = "ip6" if self.v6 else "ip", self.address(A), self.address(B)
        self.w.command("nft", "-f", "-", input=f"""table inet wall {{ chain c {{
            type filter hook forward priority 0
            {kind} saddr {a} {kind} daddr {b} drop
            {kind} saddr {b} {kind} daddr {a} drop
        }}
        }}""")

    def no_wall(self):
        self.w.command("nft", "delete", "table", "inet", "wall")

    def start(self, i):
        self.tunnels[i] = Tunnel(self.ns[i], self.private[i], environment=self.clocks[i].environment())
        self.tunnels[i].speak_ipv6()
        self.ns[i].ip(f"addr add 10.9.0.{i + 1}/24 dev sec0\naddr add fd09::{i + 1}/64 dev sec0 nodad")
        if i in (R, S):
            self.tunnels[i].ask("relaying", 1)

    def introduce(self, i):
        for j in set(range(4)) - {i}:
            flags, keepalive = ("best,relay", 25) if j in (R, S) else ("best", 0)
            assert self.tunnels[i].peer(self.keys[j], [f"10.9.0.{j + 1}", f"fd09::{j + 1}"], (self.address(j), PORT), flags,
                                        keepalive=keepalive) == 0

    def skip(self, seconds, of=(A, B)):
        for i in of:
            self.clocks[i].skip(seconds)

    def status(self, of, about):
        return self.tunnels[of].status(self.keys[about])

    def via(self, of=A, about=B):
        """The relay that one reaches the other through; None: directly."""
        relay = self.status(of, about)["relay"]
        return [in_hex(k) for k in self.keys].index(relay) if relay else None

    def wait_via(self, *which, timeout=20):
        wait_until(lambda: self.via(A, B) in which and self.via(B, A) == self.via(A, B), timeout, f"both through {which}")
        return self.via()

    def wait_ready(self):
        """Sessions with the relays; then the first try has failed, and there is one of the two."""
        pairs = [(i, j) for i in (A, B) for j in (R, S)]
        wait_until(lambda: all(self.status(i, j)["ready"] and self.status(j, i)["ready"] for i, j in pairs), 20, "sessions with relays")
        self.skip(FIRST_TRY_S)
        wait_until(lambda: self.status(A, B)["ready"] and self.status(B, A)["ready"], 20, "a session")

    def drops(self, i):
        return self.tunnels[i].drops()

    @contextlib.contextmanager
    def flows(self):
        flows = [Flow(self.ns[A], self.ns[B], self.inside(B), fill=CANARY), Flow(self.ns[B], self.ns[A], self.inside(A), 7001, CANARY)]

        def flowing(more=50):
            marks = [len(f.got) + more for f in flows]
            wait_until(lambda: all(len(f.got) >= m for f, m in zip(flows, marks)), 20, "packets of both")

        yield flows, flowing
        for f in flows:
            f.stop()


class Forger:
    """Whoever has a session with one of them, and seals in it what it likes."""

    def __init__(self, walled, target, kind, number):
        self.walled, self.target = walled, target
        private, self.public = key_pair()
        device = f"raw{number}"
        assert walled.tunnels[target].peer(self.public, [f"10.9.0.{50 + number}"], None, kind) == 0
        path = os.path.join(build_directory(), "tests", "lab", "lab-wg-peer")
        self.process = walled.ns[A].spawn(path, device, in_hex(private), in_hex(walled.keys[target]), "0" * 64, 1, 51900 + number,
                                          walled.address(target), PORT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        wait_until(lambda: walled.ns[A].link(device), 5, "its device")
        walled.ns[A].ip(f"link set {device} up")
        self.socket = walled.ns[A].socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0x0800))

    def drops_after(self, payload, name, more=1):
        """It is refused by that name, and by no other."""
        before = self.walled.drops(self.target)
        self.socket.send(payload)
        wanted = {**before, name: before.get(name, 0) + more}
        wait_until(lambda: self.walled.drops(self.target) == wanted, 5, f"{name} of {self.target}")

    def close(self):
        self.socket.close()
        self.walled.run.end(self.process)
        self.walled.tunnels[self.target].ask("remove", in_hex(self.public))


@pytest.fixture(scope="module", params=["4", "6"])
def walled(request):
    w = Walled(request.param)
    try:
        w.wait_ready()
        yield w
    finally:
        w.run.close()


def test_a_relay_carries_and_sees_nothing(walled):
    r = walled.wait_via(R, S)
    links = {**{f"w{i}": (walled.w, f"w{i}") for i in range(4)}, "inside": (walled.ns[r], "sec0")}
    with Tap(links, keep=lambda f: CANARY[:12] in f.data) as tap:
        before = walled.status(r, A)["carried"]
        with walled.flows() as (flows, flowing):
            flowing(200)
        assert [f.lost() for f in flows] == [0, 0]
        assert tap.total == 0 and tap.lost == 0
        assert walled.status(r, A)["carried"] - before >= 200
    stream(walled.ns[A], walled.ns[B], walled.inside(B))
    stream(walled.ns[B], walled.ns[A], walled.inside(A))
    ping(walled.ns[A], "10.9.0.2")
    ping(walled.ns[A], "fd09::2")
    ping(walled.ns[r], walled.inside(A))  # it has sessions of its own beside
    assert not {name for i in range(4) for name in walled.drops(i) if name.startswith("relay")}


@pytest.mark.parametrize("walled", ["6"], indirect=True)
def test_another_takes_over_when_one_dies(walled):
    r = walled.wait_via(R, S)
    other = R + S - r
    handshakes = walled.status(A, B)["handshakes"]
    with walled.flows() as (flows, flowing):
        flowing()
        walled.tunnels[r].process.kill()
        walled.tunnels[r].process.wait()
        walled.wait_via(other)
        flowing()
        assert walled.status(A, B)["handshakes"] == handshakes  # the session is the two's
    walled.start(r)
    walled.introduce(r)
    assert "relay_lost" not in walled.drops(A)


@pytest.mark.parametrize("walled", ["6"], indirect=True)
def test_who_is_a_relay_no_more_is_left_at_once(walled):
    r = walled.wait_via(R, S)
    wait_until(lambda: all(walled.status(i, R + S - r)["ready"] for i in (A, B)), 20, "sessions with the other")
    refused = lambda: sum(walled.drops(i).get("relay_refused", 0) for i in (A, B))  # noqa: E731
    before = refused()
    with walled.flows() as (flows, flowing):
        flowing()
        for i in (A, B):
            assert walled.tunnels[i].peer(walled.keys[r], [f"10.9.0.{r + 1}", f"fd09::{r + 1}"], (walled.address(r), PORT)) == 0
        walled.wait_via(R + S - r)
        flowing()
    # what one sends through it when the other has heard already
    assert sum(f.sent - len(f.got) for f in flows) == refused() - before < 50
    for i in (A, B):
        walled.introduce(i)


@pytest.mark.parametrize("walled", ["4"], indirect=True)
def test_the_direct_way_is_taken_when_it_is_there_and_left_when_not(walled):
    r = walled.wait_via(R, S)
    handshakes = walled.status(A, B)["handshakes"]
    with walled.flows() as (flows, flowing):
        flowing()
        walled.skip(DIRECT_S, [A])  # one of the two looks: new sessions of both at once are another matter
        flowing()  # a try, in vain
        assert walled.via() == r
        walled.no_wall()
        walled.skip(DIRECT_S, [A])
        walled.wait_via(None)
        flowing()
    assert [f.sent - len(f.got) for f in flows] == [0, 0], [walled.drops(i) for i in range(4)]  # some may have overtaken others
    with walled.flows() as (flows, flowing):
        carried = sum(walled.status(i, j)["carried"] for i in (R, S) for j in (A, B))
        flowing()
        assert carried == sum(walled.status(i, j)["carried"] for i in (R, S) for j in (A, B))
        walled.wall()
        walled.wait_via(R, S)
        flowing()
    assert walled.status(A, B)["handshakes"] <= handshakes + 4  # renewed as time went on, no more


def carried(kind, who, message):
    return struct.pack("!BxH", kind, len(message)) + base64.b64decode(who)[:12] + message


FOR, FROM, ASK = 0x20, 0x21, 0x22
MESSAGE = b"\4\0\0\0" + bytes(44)  # of a session, by its form


@pytest.mark.parametrize("walled", ["4"], indirect=True)
def test_only_nodes_have_something_carried_and_only_to_nodes(walled):
    stranger = key_pair()[1]
    with contextlib.closing(Forger(walled, S, "best,plain", 0)) as laptop:
        for kind in (FOR, FROM, ASK):
            laptop.drops_after(carried(kind, walled.keys[B], MESSAGE), "bad_inner")
        with contextlib.closing(Forger(walled, S, "best", 1)) as node:
            got = walled.drops(B).get("unknown_index", 0)
            node.socket.send(carried(FOR, walled.keys[B], MESSAGE))  # a node that says what a node may say, and nobody can open
            wait_until(lambda: walled.drops(B).get("unknown_index", 0) == got + 1, 5, "it is carried")
            for whom in (stranger, node.public, laptop.public, walled.keys[S]):
                node.drops_after(carried(FOR, whom, MESSAGE), "relay_unknown")
            for wrong in (MESSAGE[:-20], b"\5" + MESSAGE[1:], carried(FOR, walled.keys[B], MESSAGE)):
                node.drops_after(carried(FOR, walled.keys[B], wrong), "bad_inner")
            node.drops_after(carried(FOR, walled.keys[B], MESSAGE)[:40], "bad_inner")
            node.drops_after(carried(FROM, walled.keys[B], MESSAGE), "relay_refused")  # it is no relay of S's
            walled.tunnels[S].ask("relaying", 0)
            node.drops_after(carried(FOR, walled.keys[B], MESSAGE), "relay_refused")
            walled.tunnels[S].ask("relaying", 1)
