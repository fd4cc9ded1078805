# SPDX-License-Identifier: Apache-2.0
"""BIRD 2 and OpenBGPD as routers of the underlay: unicast host routes both ways, by sessions over IPv4 and IPv6.

    g1 -- dc1 --+
                +-- sw-dc -- ext    AS 65001: hosts of green behind it, and much else that is none of green's
    g2 -- dc2 --+

Sessions over IPv6 with BIRD are in an underlay without IPv4: IPv4 has IPv6 next hops there (RFC 8950).  OpenBGPD 7.7 does
not know that, so its underlay has both.
"""
import contextlib

import pytest
from helpers import ping_all

from lab import bird, openbgpd, packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.peer import KernelPeer
from lab.room import Lab
from lab.run import wait_until
from test_native import between, is_tunnel, routes

AS, THEIRS = 65000, 65001
HOSTS = ["10.7.0.50", "fd00:7::50"]
STRANGE = ["10.7.0.64/26", "10.7.0.1/32", "10.8.0.50/32", "0.0.0.0/0", "fd00:7::1/128", "fd00:9::/64"]
REASONS = {
    "10.7.0.64/26": "not-a-host",
    "10.7.0.1/32": "default-gateway",
    "10.8.0.50/32": "subnet",
    "0.0.0.0/0": "not-a-host",
    "fd00:7::1/128": "default-gateway",
    "fd00:9::/64": "not-a-host",
}


def slash(address):
    return f"{address}/{128 if packet.is_v6(address) else 32}"


def of_family(addresses, like):
    """The one of the same family; of an underlay that has only the other, that."""
    return next((a for a in addresses if packet.is_v6(a) == packet.is_v6(like)), addresses[0])


class WithBird:
    def __init__(self, lab, session):
        self.lab, self.ns, self.session = lab, lab.peers["ext"].ns, session
        self.router = bird.Bird(lab.run, self.ns, "bird")
        self.router.start(self.text([]))

    def text(self, prefixes):
        own = self.lab.peers["ext"].underlay
        peers = [of_family(n.underlay, self.session) for n in self.lab.nodes.values()]
        over4 = not packet.is_v6(self.session)
        return bird.router(
            *(THEIRS, "10.9.9.9", self.session, AS, peers, prefixes), next_hop6=of_family(own, "::") if over4 else None
        )

    def announce(self, prefixes):
        self.router.configure(self.text(prefixes))

    def route(self):
        """BIRD does it by itself."""


class WithOpenbgpd:
    def __init__(self, lab, session):
        self.lab, self.ns = lab, lab.peers["ext"].ns
        peers = [of_family(n.underlay, session) for n in lab.nodes.values()]
        self.router = openbgpd.Openbgpd(lab.run, self.ns, "openbgpd")
        self.router.start(openbgpd.router(THEIRS, "10.9.9.9", session, AS, peers))
        self.said = []

    def announce(self, prefixes):
        for p in set(self.said) - set(prefixes):
            self.router.withdraw(p)
        for p in set(prefixes) - set(self.said):
            self.router.announce(p, of_family(self.lab.peers["ext"].underlay, p))
        self.said = prefixes

    def route(self):
        """What it knows, put into the kernel by hand."""
        for prefix, hops in self.router.routes().items():
            self.ns.ip(f"route replace {prefix} via {min(hops)}")


@pytest.fixture(
    scope="module",
    params=[(WithBird, 4), (WithBird, 6), (WithOpenbgpd, 4), (WithOpenbgpd, 6)],
    ids=["bird-over-ipv4", "bird-over-ipv6", "openbgpd-over-ipv4", "openbgpd-over-ipv6"],
)
def lab(request):
    kind, session = request.param
    with raised(kind, session, (6,) if (kind, session) == (WithBird, 6) else (4, 6)) as lab:
        yield lab


@contextlib.contextmanager
def raised(kind, session, families):
    fabric = Fabric(families=families)
    for node in ("dc1", "dc2"):
        fabric.node(node, "dc")
    fabric.node("ext", "dc", foreign=True)
    fabric.tenant("green", 7000)
    fabric.network(
        "green/all", "l3", encap="none", subnets=["10.7.0.0/24", "fd00:7::/64"], gateway=["10.7.0.1", "fd00:7::1"]
    )
    for n in (1, 2):
        fabric.port(f"g{n}", f"dc{n}", "green/all", [f"10.7.0.{10 + n}", f"fd00:7::{10 + n}"])
    with Lab(fabric, {"ext": KernelPeer}, start=False) as lab:
        own = lab.peers["ext"].underlay
        at = next(a for a in own if packet.is_v6(a) == (session == 6))
        fabric.config["bgp"] = {
            "as": AS,
            "neighbors": {"ext": {"address": at, "remote_as": THEIRS, "import": ["green"], "export": "all"}},
        }
        lab.peers["ext"].ns.ip("link set lo up\n" + "\n".join(f"addr add {slash(h)} dev lo nodad" for h in HOSTS))
        lab.peers["ext"].ns.write_sysctl("net/ipv4/ip_forward", 1)
        lab.start(file_of=fabric.own_yaml)
        lab.ext = kind(lab, at)
        wait_until(lambda: lab.ext.router.established() == 2, 20, "both sessions are up")
        yield lab


def ours(lab):
    """What the router is to have of us: prefix -> next hops."""
    return {
        slash(a): {of_family(lab.node(f"dc{n}").underlay, a)} for n in (1, 2) for a in lab.host(f"g{n}").addresses
    }


def announce(lab, prefixes):
    lab.ext.announce(prefixes)
    hops = {h: {of_family(lab.peers["ext"].underlay, h)} for h in HOSTS if slash(h) in prefixes}
    for name, other in (("dc1", "g2"), ("dc2", "g1")):
        there = lab.node("dc2" if other == "g2" else "dc1").underlay
        want = {**hops, **{a: {of_family(there, a)} for a in lab.host(other).addresses}}
        wait_until(lambda name=name, want=want: routes(lab.node(name)) == want, 10, f"routes of {name} are {want}")


def test_our_hosts_are_in_its_table(lab):
    wait_until(lambda: lab.ext.router.routes() == ours(lab), 10, "its table has our hosts, and nothing else")
    host = lab.plug_runtime("extra", "dc2", "green/all", ["10.7.0.77", "fd00:7::77"])
    more = {slash(a): {of_family(lab.node("dc2").underlay, a)} for a in host.addresses}
    wait_until(lambda: lab.ext.router.routes() == {**ours(lab), **more}, 10, "and a new one")
    lab.node("dc2").isthmus("port", "del", "extra", "--yes")
    lab.unplug("extra")
    wait_until(lambda: lab.ext.router.routes() == ours(lab), 10, "it is withdrawn")


def test_its_hosts_are_in_our_kernels(lab):
    announce(lab, [slash(h) for h in HOSTS])
    announce(lab, [slash(HOSTS[1])])
    announce(lab, [])
    announce(lab, [slash(h) for h in HOSTS])
    for name in ("dc1", "dc2"):
        shown = {r["prefix"]: r for r in lab.node(name).get("routes")}
        assert all(shown[slash(h)]["encap"] == "none" and shown[slash(h)]["source"].startswith("bgp") for h in HOSTS)


def test_packets_go_both_ways_as_they_are(lab):
    announce(lab, [slash(h) for h in HOSTS])
    wait_until(lambda: lab.ext.router.routes() == ours(lab), 10, "it has our hosts")
    lab.ext.route()
    pairs = [(lab.host(g), h) for g in ("g1", "g2") for h in HOSTS]
    with lab.wire_tap() as tap:
        wait_until(lambda: not ping_all(pairs), 10, "its hosts answer")
        tap.settle()
        assert all(tap.matching(between(lab.host("g1").address(packet.is_v6(h)), h)) for h in HOSTS)
        assert not tap.matching(is_tunnel)
    for a in lab.host("g1").addresses:
        source = of_family(HOSTS, a)
        assert "1 received" in lab.ext.ns.command("ping", "-n", "-c", 1, "-W", 2, "-I", source, a).stdout


def test_what_is_not_the_tenant_s_is_refused_by_name(lab):
    """Of all that a router of the underlay has, only hosts in green's subnets are ours to have."""
    announce(lab, [slash(h) for h in HOSTS] + STRANGE)
    dc1 = lab.node("dc1")

    def verdicts():
        items = dc1.isthmus("bgp", "received", "ext", json_output=True)["items"]
        return {r["name"]: r["import"] for r in items}

    want = {**REASONS, **{slash(h): "accepted" for h in HOSTS}}
    wait_until(lambda: verdicts() == want, 10, f"each has its verdict: {verdicts()}")
    (why,) = dc1.isthmus("bgp", "why", "green/10.8.0.50", json_output=True)["items"]
    assert (why["import"], why["best"]) == ("subnet", False)
    announce(lab, [slash(h) for h in HOSTS])


def test_a_restart_of_ours_costs_nothing(lab):
    """kill -9: what was learned forwards on, and is taken over when it is said again (RFC 4724)."""
    announce(lab, [slash(h) for h in HOSTS])
    stream = UdpStream(lab.host("g1"), lab.host("g2"))
    stream.wait_flowing()
    dc1 = lab.node("dc1")
    before = routes(dc1)
    dc1.daemon.kill9()
    assert not ping_all((lab.host("g1"), h) for h in HOSTS)
    dc1.daemon.start()
    wait_until(lambda: lab.ext.router.established() == 2, 30, "the session is back")
    wait_until(lambda: routes(dc1) == before and lab.ext.router.routes() == ours(lab), 15, "all is as it was")
    assert stream.stop()["lost"] == 0


def test_ipv4_by_ipv6_next_hops_goes_only_to_who_understands_it():
    """OpenBGPD does not say that it can read such routes (RFC 8950 4): it has those of IPv6 alone."""
    with raised(WithOpenbgpd, 6, (6,)) as lab:
        want = {r: hops for r, hops in ours(lab).items() if packet.is_v6(r.split("/")[0])}
        wait_until(lambda: lab.ext.router.routes() == want, 10, "its table has our IPv6 hosts")
        told = lab.node("dc1").isthmus("bgp", "advertised", "ext", json_output=True)["items"]
        assert {r["name"] for r in told} == {slash(lab.host("g1").ip6)}
