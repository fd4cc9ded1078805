# SPDX-License-Identifier: Apache-2.0
"""Rows E1 and R1e: what is to be encrypted is encrypted or dropped, and each drop has a name; see secured.py."""
import json
import os
import time

import pytest
from helpers import drops_of
from secured import APP, CANARY, EASED_S, GIVEN_UP_S, OLD_S, PLAIN, WEB
from secured import SecuredLab, aimed, is_data, is_leak, tunnel, tunnel_drops

from lab import packet
from lab.capture import Tap
from lab.host import TcpFlows
from lab.run import wait_until

DEVICE = "isthmus-secure"


@pytest.fixture(scope="module", params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with SecuredLab(request.param) as lab:
        yield lab


@pytest.fixture
def watched(lab):
    """Canaries all the while; the wire is looked at, and that the look is a look."""
    with lab.wire() as tap, lab.canaries() as canaries:
        canaries.wait_flowing()
        yield canaries
    assert tap.matching(lambda f: PLAIN.encode() in f), "what is not to be encrypted is seen"
    assert [f.data[:60].hex() for f in tap.frames if is_leak(f.data)] == []
    assert tap.lost == 0
    assert canaries.plain_result["lost"] == 0, "who does not ask for encryption notices nothing"
    lab.wait_sessions(20)


def offline_drops(node):
    """Also with the daemon dead."""
    answer = json.loads(node.isthmus("get", "drops", "-o", "json", check=False).stdout)
    return {d["name"]: d["packets"] for d in answer["items"]}


def seconds_until_flowing(canaries):
    begun = time.monotonic()
    canaries.wait_flowing(1)
    return time.monotonic() - begun


def test_new_sessions(lab, watched):
    for _ in range(5):
        before = tunnel(lab.node("dc1"), "aws1")["handshakes"]
        lab.clocks["dc1"].skip(OLD_S)
        wait_until(lambda b=before: tunnel(lab.node("dc1"), "aws1")["handshakes"] > b, 5, "a new session")
    watched.wait_flowing()


def test_endpoints_come_and_go(lab, watched):
    """Also such that are behind nodes that cannot be spoken to."""
    ports = lab.fabric.config["ports"]
    coming = {n: ports[n] for n in ("spare", "wg", "rk")}
    for _ in range(5):
        for name in coming:
            del ports[name]
        lab.apply()
        ports.update(coming)
        lab.apply()
    watched.wait_flowing()


def test_keys_and_nodes_come_and_go(lab, watched):
    nodes = lab.config_nodes()
    theirs, ghosts = nodes["aws1"]["public_key"], nodes["ghost"]["public_key"]
    dc1 = lab.node("dc1")
    for moved in (True, False):
        del nodes["aws1"]["public_key"]
        if moved:  # the key of one is another's now
            nodes["ghost"]["public_key"] = theirs
        lab.apply()
        watched.wait_stopped()
        before = tunnel_drops(dc1)["no_peer"]
        wait_until(lambda b=before: tunnel_drops(dc1)["no_peer"] > b + 1000, 5, "dropped by name")
        nodes["aws1"]["public_key"], nodes["ghost"]["public_key"] = theirs, ghosts
        lab.apply()
        watched.wait_flowing()


def test_kill9(lab, watched, record_property):
    """Row R1e, its second half."""
    back = []
    for n in range(6):
        name = ("dc1", "aws1")[n % 2]
        node = lab.node(name)
        node.daemon.kill9()
        wait_until(lambda: not node.ns.link(DEVICE), 5, "the device goes with the daemon")
        before = offline_drops(node).get("not_encrypted", 0)
        wait_until(lambda: offline_drops(node)["not_encrypted"] > before + 100, 5, "dropped by name")
        lab.begin(name)
        back.append(seconds_until_flowing(watched))
    record_property("longest until all streams flow after the start", f"{max(back):.3f} s")
    print("all streams flow again, ms after the daemon said that it is ready:", [round(1000 * b) for b in back])


def test_the_device_is_taken_away(lab, watched):
    dc1 = lab.node("dc1")
    mtu = dc1.ns.link(DEVICE)["mtu"]

    def is_whole():
        link = dc1.ns.link(DEVICE)
        return link and "UP" in link["flags"] and link["mtu"] == mtu

    for change in ("link del {}", "link set {} down", "link set {} mtu 1300", "link del {}"):
        dc1.ns.ip(change.format(DEVICE))
        wait_until(is_whole, 5, f"the device as it was, after {change}")
        watched.wait_flowing()


def test_the_key_is_spoilt(lab, watched):
    dc1 = lab.node("dc1")
    path = os.path.join(dc1.daemon.state_dir, "private.key")
    with open(path) as f:
        key = f.read()
    try:
        dc1.daemon.kill9()
        with open(path, "w") as f:
            f.write("spoilt\n")
        lab.begin("dc1")
        before = dc1.drops()["not_encrypted"]
        wait_until(lambda: dc1.drops()["not_encrypted"] > before + 100, 5, "dropped by name")
        wait_until(lambda: "private key" in dc1.isthmus("status", check=False).stdout, 5, "the status says it")
    finally:
        dc1.daemon.kill9()
        with open(path, "w") as f:
            f.write(key)
        lab.begin("dc1")
    watched.wait_flowing()


def test_the_way_goes_over_another_device(lab, watched):
    dc1, there = lab.node("dc1"), lab.underlay_of("aws1")
    family, router = (6, "2001:db8:99::fe") if packet.is_v6(there) else (4, "198.18.99.254")
    source = lab.underlay_of("dc1")
    lab.wan.ip(f"route add {source}/{128 if family == 6 else 32} dev sw-dc")
    dc1.ns.ip(f"route add {there} via {router} dev up1 src {source}")
    with Tap({"up1": (lab.wan, "x-dc1")}, incoming_only=True, keep=lambda f: is_data(f.data)) as over:
        wait_until(lambda: over.total > 500, 5, "encrypted packets on the other way")
        watched.wait_flowing(100)
    dc1.ns.ip(f"route del {there} via {router} dev up1")
    watched.wait_flowing(100)


def test_nobody_but_the_tunnel_may_bring_it(lab):
    """Tunnel packets in clear text, right in all but that, of each node that is a member."""
    for name, other in (("dc1", "aws1"), ("aws1", "dc1"), ("dc1", "ghost"), ("dc1", "keyless")):
        node = lab.node(name)
        with lab.host_tap(keep=lambda f: CANARY.encode() in f.data) as tap, drops_of(node, clear_text=40):
            lab.inject(name, *[lab.clear_text(name, other, vni) for vni in (WEB, APP)] * 20)
        tap.settle(0.05)
        assert tap.total == 0


def test_each_drop_has_a_name(lab):
    """Quiet, and each to the last one."""
    dc1, w1, r1 = lab.node("dc1"), lab.host("w1"), lab.host("r1")

    def sent(target):
        w1.send(*[aimed(lab, "w1", "w" + target)] * 20)
        r1.send(*[aimed(lab, "r1", "r" + target)] * 20)

    def rises(name, least, total=None):
        now = tunnel_drops(dc1)
        rise = {k: now[k] - before[k] for k in now if now[k] != before[k]}
        return rise.get(name, 0) >= least and sum(rise.values()) == (total or least)

    with lab.wire() as tap:
        before = tunnel_drops(dc1)
        sent("k")
        wait_until(lambda: rises("no_peer", 40), 5, f"no_peer, 40 times; {before}")
        lab.clocks["dc1"].skip(GIVEN_UP_S)  # what waits for the ghost waits no longer
        sent("g")
        wait_until(lambda: tunnel(dc1, "ghost")["drops"] > 0, 15, "given up")
        dc1.daemon.kill9()
        wait_until(lambda: not dc1.ns.link(DEVICE), 5, "the device goes with the daemon")
        dropped = offline_drops(dc1)["not_encrypted"]
        for target in ("k", "g"):
            sent(target)
        w1.send(*[aimed(lab, "w1", "w2")] * 20)
        assert offline_drops(dc1)["not_encrypted"] == dropped + 100
        lab.begin("dc1")
        lab.wait_sessions(20)
        assert not [f for f in tap.frames if is_leak(f.data)]


def test_who_does_not_answer_is_waited_for(lab):
    """64 packets wait, the rest is counted at once; those that waited are, when nobody came."""
    dc1, w1 = lab.node("dc1"), lab.host("w1")
    drops = lambda: {d["name"]: d["packets"] for d in tunnel(dc1, "ghost")["dropsByName"]}  # noqa: E731
    begun = drops()
    w1.send(*[aimed(lab, "w1", "wg")] * 100)
    full = wait_until(lambda: drops().get("waiting_full", 0) - begun.get("waiting_full", 0), 5, "waiting_full")
    assert full >= 36
    before = tunnel_drops(dc1).get("no_session", 0)
    lab.clocks["dc1"].skip(GIVEN_UP_S)
    wait_until(lambda: tunnel_drops(dc1)["no_session"] > before, 15, "no_session")


def fault_of(node, check, word):
    found = node.isthmus("doctor", json_output=True, check=False)["checks"]
    return next(c for c in found if c["name"] == check and word in c["seen"])


def test_the_doctor_tells_a_firewall_from_nobody(lab):
    """The ghost's address is on a link of dc1's for a while, and answers ARP or neighbour solicitations there."""
    dc1, there = lab.node("dc1"), lab.underlay_of("ghost")
    lab.clocks["dc1"].skip(GIVEN_UP_S)
    wait_until(lambda: "let UDP port 51820 through" in fault_of(dc1, "tunnel", "ghost")["fix"], 15, "it is told of")
    lab.wan.ip(f"addr add {there}/{'128' if packet.is_v6(there) else '32'} dev x-dc1")
    dc1.ns.ip(f"route add {there} dev up1 src {lab.underlay_of('dc1')}")
    wait_until(lambda: "its address answers" in fault_of(dc1, "tunnel", "ghost")["fix"], 15, "somebody is there")
    dc1.ns.ip(f"route del {there} dev up1")
    lab.wan.ip(f"addr del {there}/{'128' if packet.is_v6(there) else '32'} dev x-dc1")


# ---- switched on and off


def pair_never(config):
    config["site_pairs"] = {"wan": {"sites": ["dc", "aws"], "encryption": "never"}}


def network_always(config):
    config["tenants"]["red"]["networks"]["web"]["encryption"] = "always"


def nothing_said(config):
    """Not even of the fabric: between-sites is what is meant."""
    del config["site_pairs"], config["fabric"]["encryption"], config["tenants"]["red"]["networks"]["web"]["encryption"]


CHANGES = [
    (pair_never, "clear"),
    (network_always, "encrypted"),  # what is routed, too: the tenant has one VNI, and one of its networks asks
    (nothing_said, "encrypted"),
]


def test_switching_loses_nothing(lab):
    """By `isthmus apply` under traffic: what is to be encrypted is so at once.  For 30 s after a change nodes take what
    either configuration allows; each one's clock is then moved on by itself, as no two end that at one moment.
    """
    flows = TcpFlows(lab.host("w1"), lab.host("r2"), 4)
    with lab.canaries(alone=True) as canaries, lab.wire() as tap:

        def leaks(place):
            return [f for f in tap.snapshot() if f.place == place and f.incoming and is_leak(f.data)]

        for change, outcome in CHANGES:
            change(lab.fabric.config)
            for name, node in lab.nodes.items():
                node.daemon.write_config(lab.fabric.yaml())
                node.isthmus("apply", node.daemon.config)
                if outcome == "encrypted":
                    begun = len(leaks(name))
                    canaries.wait_flowing(20)
                    assert len(leaks(name)) == begun, f"{name} has applied {change.__name__}"
            for clock in lab.clocks.values():
                clock.skip(EASED_S)
                canaries.wait_flowing(150)  # and some: twice a second it is looked at
            if outcome == "clear":
                for name in lab.nodes:
                    seen = lambda n=name: any(CANARY.encode() in f.data for f in leaks(n))  # noqa: E731
                    wait_until(seen, 5, "clear text, as was asked")
            else:
                lab.wait_refusing()
                canaries.wait_flowing(50)
    flows.wait_flowing()
    assert flows.stop()["errors"] == []
    assert canaries.lost() == [0] * 5
    assert [r["duplicates"] for r in canaries.results] == [0] * 5
