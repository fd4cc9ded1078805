# SPDX-License-Identifier: Apache-2.0
"""Row R1: the daemon dies, the data plane does not.

    w1 r1 spare1 -- dc1 -- wan -- aws1 -- w2 r2 spare2        both daemons are killed, in turn, under traffic both ways
"""
import os
import signal

import pytest
from helpers import GATEWAY_MAC, drops_of

from lab import packet
from lab.fabric import Fabric
from lab.host import TcpFlows, UdpStream
from lab.room import Lab
from lab.run import wait_until

KILLS = 20


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric(families=(4, 6))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"])
    fabric.network("red/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    fabric.tenant("blue", 5100)
    fabric.network("blue/web", vni=5101, subnets=["10.0.1.0/24"])
    for n, (name, node, net) in enumerate(
        (
            ("w1", "dc1", "web"),
            ("w2", "aws1", "web"),
            ("r1", "dc1", "app"),
            ("r2", "aws1", "app"),
            ("spare1", "dc1", "web"),
            ("spare2", "aws1", "web"),
        ),
        11,
    ):
        k = {"web": 1, "app": 2}[net]
        fabric.port(name, node, f"red/{net}", [f"10.0.{k}.{n}", f"fd00:{k}::{n}"])
    fabric.port("b2", "aws1", "blue/web", ["10.0.1.12"])
    with Lab(fabric) as lab:
        yield lab


def test_twenty_kills_lose_nothing(lab, record_property):
    w1, w2, r1, r2 = (lab.host(n) for n in ("w1", "w2", "r1", "r2"))
    streams = [
        UdpStream(w1, w2),
        UdpStream(w2, w1, v6=True),
        UdpStream(r2, w1, port=7010, rate=500),
        UdpStream(r1, r2, v6=True, port=7011, rate=500),
    ]
    flows = TcpFlows(w1, w2, 20)
    for s in streams:
        s.wait_flowing()
    # Forbidden packets all the while: none may pass in any phase of a restart.
    forbidden = packet.udp_frame(w1.mac, w2.mac, "10.0.1.99", w2.ip4, 1, 2, b"canary")
    injected = packet.any_ip(
        "198.18.2.66",
        lab.node("aws1").underlay[0],
        17,
        packet.udp(
            "198.18.2.66",
            lab.node("aws1").underlay[0],
            1,
            4789,
            packet.vxlan(5001, packet.udp_frame(w1.mac, w2.mac, w1.ip4, w2.ip4, 1, 2, b"canary")),
        ),
    )
    new_flows = 0
    with lab.host_tap(keep=lambda f: b"canary" in f.data) as tap, w1.raw() as port:
        for i in range(KILLS):
            node = lab.node(("dc1", "aws1")[i % 2])
            node.daemon.kill9()
            port.send(*[forbidden] * 20)
            lab.inject("aws1", *[injected] * 20)
            # New flows to endpoints that were known before, while the daemon is dead: fresh ARP and ND, l2 and routed.
            a, b = lab.host("spare1"), lab.host("spare2")
            a.flush_neighbours()
            b.flush_neighbours()
            assert a.tcp_to(b, 20000, v6=i % 4 > 1, timeout=2, port=42000 + i) == 20000
            assert b.ping(r1.address(i % 4 > 1), timeout=1)
            assert a.arping("10.0.1.1") == [GATEWAY_MAC]
            new_flows += 3
            node.daemon.start()
            port.send(*[forbidden] * 20)
            lab.inject("aws1", *[injected] * 20)
            streams[0].wait_flowing(20)
        flows.wait_flowing()
        assert tap.total == 0
    results = [s.stop() for s in streams]
    tcp = flows.stop()
    sent = sum(r["sent"] for r in results)
    record_property("kills", KILLS)
    record_property("packets sent", sent)
    record_property("packets lost", sum(r["lost"] for r in results))
    record_property("new flows while dead", new_flows)
    print(
        f"{KILLS} kills, {sent} packets sent, lost {[r['lost'] for r in results]}, "
        f"longest gap {max(r['longest_gap_ms'] for r in results):.1f} ms, TCP {tcp}"
    )
    assert [(r["lost"], r["duplicates"]) for r in results] == [(0, 0)] * 4
    # Retransmissions are printed and not judged: a machine that stands still for a moment makes some without any loss.
    assert tcp["alive"] == 20 and tcp["errors"] == []


def test_counters_survive_a_restart(lab):
    """The kernel state is the product: the restarted daemon adopts maps and counters, it does not make new ones."""
    node = lab.node("dc1")
    w1 = lab.host("w1")
    with drops_of(node, mac_spoofed=7):
        w1.send(*[packet.eth(packet.BROADCAST, "02:00:00:00:be:ef", 0x88B5, b"x")] * 7)
    before = node.drops()["mac_spoofed"]
    node.daemon.restart()
    assert node.drops()["mac_spoofed"] == before


def test_sigterm_leaves_the_data_plane(lab):
    node = lab.node("dc1")
    stream = UdpStream(lab.host("w1"), lab.host("w2"))
    stream.wait_flowing()
    assert node.daemon.stop() == 0
    stream.wait_flowing(300)
    assert not os.path.exists(os.path.join(node.daemon.run_dir, "isthmus.sock"))
    node.daemon.start()
    stream.wait_flowing(100)
    assert stream.stop()["lost"] == 0


def test_a_stopped_daemon_does_not_stop_the_traffic(lab):
    """SIGSTOP: hung, not dead."""
    node = lab.node("aws1")
    stream = UdpStream(lab.host("w1"), lab.host("w2"))
    node.daemon.signal(signal.SIGSTOP)
    stream.wait_flowing(1000)
    node.daemon.signal(signal.SIGCONT)
    node.wait_up()
    assert stream.stop()["lost"] == 0


def test_the_command_line_answers_while_the_daemon_is_dead(lab):
    """Row X10: status, ports and counters from the pinned maps, marked, exit 3."""
    node = lab.node("dc1")
    drops = node.drops()
    node.daemon.kill9()
    p = node.isthmus("status", check=False)
    assert p.returncode == 3 and "not running" in p.stdout + p.stderr
    p = node.isthmus("get", "ports", check=False)
    assert p.returncode == 3 and "w1" in p.stdout and "spare1" in p.stdout
    p = node.isthmus("get", "drops", "-o", "json", check=False)
    assert p.returncode == 3
    import json

    assert {d["name"]: d["packets"] for d in json.loads(p.stdout)["items"]}["mac_spoofed"] == drops["mac_spoofed"]
    node.daemon.start()


def test_a_start_that_meets_a_broken_port_leaves_the_rest_forwarding(lab):
    """While the daemon was dead somebody put another qdisc on one port: that port fails, by name, and nobody else does."""
    node, stream = lab.node("dc1"), UdpStream(lab.host("w1"), lab.host("w2"))
    stream.wait_flowing()
    node.daemon.kill9()
    node.ns.tc("qdisc", "del", "dev", "spare1", "clsact")
    node.ns.tc("qdisc", "add", "dev", "spare1", "ingress")
    node.daemon.start()
    wait_until(lambda: {p["name"]: p["state"] for p in node.get("ports")}["spare1"] == "failed", 3)
    assert "tc qdisc del dev spare1 ingress" in node.isthmus("status", check=False).stdout
    stream.wait_flowing(100)
    # Two filters that push each other out of one place would be thousands of drops of ours and repairs a second.
    repairs = node.metrics()["isthmus_repairs_total"]
    stream.wait_flowing(1000)
    assert node.metrics()["isthmus_repairs_total"] == repairs
    node.ns.tc("qdisc", "del", "dev", "spare1", "ingress")
    node.wait_up()
    assert stream.stop()["lost"] == 0 and lab.host("spare1").ping("10.0.1.12")


def test_a_boot_from_nothing_denies_until_it_is_ready(lab):
    """Teardown, then traffic: nothing passes; start: everything passes again, without touching the workloads."""
    node = lab.node("dc1")
    w1, w2 = lab.host("w1"), lab.host("w2")
    p = node.daemon.teardown()
    assert p.returncode == 0, p.stderr
    with lab.host_tap(["w2", "b2"], keep=lambda f: b"canary" in f.data) as tap:
        w1.send(*[packet.udp_frame(w1.mac, w2.mac, w1.ip4, w2.ip4, 1, 2, b"canary")] * 20)
        tap.settle(0.1)
        assert tap.total == 0
    node.daemon.start()
    node.wait_up()
    assert w1.ping(w2.ip4)
    wait_until(lambda: w1.ping(w2.ip6, check=False, timeout=1), 3)
