# SPDX-License-Identifier: Apache-2.0
"""Without encapsulation: packets cross the wire as they are, by host routes in the kernel.

    g1 g2 b1 -- left --.                          green: encap none, lives in the underlay's address space
                       sw-dc -- wan (a host of the underlay, too)
       g3 b3 -- right -'                          blue: VXLAN, with addresses that the underlay knows nothing of
"""
import re

import pytest

from helpers import drops_of, ping_all
from lab import packet
from lab.fabric import Fabric
from lab.host import UdpStream
from lab.room import Lab
from lab.run import wait_until

PROTOCOL = "73"
MTU = 1400


def make_fabric(encap="none"):
    fabric = Fabric(families=(4, 6))
    fabric.node("left", "dc")
    fabric.node("right", "dc")
    fabric.tenant("green", 7000)
    fabric.network("green/all", "l3", encap=encap, subnets=["10.7.0.0/24", "fd00:7::/64"],
                   gateway=["10.7.0.1", "fd00:7::1"])
    fabric.tenant("blue", 6000)
    fabric.network("blue/all", "l3", subnets=["10.8.0.0/24", "fd00:8::/64"], gateway=["10.8.0.1", "fd00:8::1"])
    for name, node, net, n in (("g1", "left", 7, 11), ("g2", "left", 7, 12), ("g3", "right", 7, 13),
                               ("b1", "left", 8, 11), ("b3", "right", 8, 13)):
        tenant = "green" if net == 7 else "blue"
        fabric.port(name, node, f"{tenant}/all", [f"10.{net}.0.{n}", f"fd00:{net}::{n}"])
        fabric.rigs[name].mtu = 1500
    return fabric


def native(fabric, encap):
    """The same fabric with green so."""
    fabric = fabric.copy()
    fabric.network_of("green/all")["encap"] = encap
    return fabric


@pytest.fixture(scope="module")
def lab():
    with Lab(make_fabric(), underlay_mtu=MTU) as lab:
        for v, bits in ((4, 32), (6, 128)):  # as a router of the underlay learns them
            for host, node in (("g1", "left"), ("g2", "left"), ("g3", "right"), ("b1", "left")):
                via = next(a for a in lab.node(node).underlay if packet.is_v6(a) == (v == 6))
                lab.wan.ip(f"route add {lab.host(host).address(v == 6)}/{bits} via {via}")
        yield lab


def routes(node):
    """What the kernel has of ours: address -> set of next hops."""
    found = {}
    for family in ("-4", "-6"):
        for route in node.ns.ip_json(family, "route", "show", "proto", PROTOCOL):
            hops = route.get("nexthops", [route])
            found[route["dst"]] = {h.get("gateway") or h["via"]["host"] for h in hops}
    return found


def expected(lab, node, hosts, other):
    there = lab.node(other).underlay
    return {lab.host(h).address(v6): {next(a for a in there if packet.is_v6(a) == v6)}
            for h in hosts for v6 in (False, True)}


def is_tunnel(frame):
    p = packet.l3(frame)
    return bool(p) and p[3] == 17 and p[4][2:4] == (4789).to_bytes(2, "big")


def between(a, b):
    """Is the frame a packet between these two addresses, as it is?"""
    def test(frame):
        p = packet.l3(frame)
        return bool(p) and {p[1], p[2]} == {a, b}

    return test


def test_packets_cross_as_they_are(lab):
    g1, g3 = lab.host("g1"), lab.host("g3")
    with lab.wire_tap() as tap:
        for v6 in (False, True):
            assert ping_all([(g1, g3.address(v6)), (g3, g1.address(v6))]) == []
            assert g1.udp_to(g3, b"out", v6=v6) and g3.udp_to(g1, b"back", v6=v6)
            assert g1.tcp_to(g3, 1 << 20, v6=v6) == g3.tcp_to(g1, 1 << 20, v6=v6) == 1 << 20
        tap.settle()
        for v6 in (False, True):
            assert tap.matching(between(g1.address(v6), g3.address(v6)))
        assert not tap.matching(is_tunnel), "an outer header"
    for node in ("left", "right"):
        assert lab.node(node).metrics()['isthmus_packets_total{counter="native_out"}'] > 0


def test_the_kernel_has_host_routes_of_the_other_nodes_ports(lab):
    assert routes(lab.node("left")) == expected(lab, "left", ["g3"], "right")
    assert routes(lab.node("right")) == expected(lab, "right", ["g1", "g2"], "left")
    shown = next(r for r in lab.node("left").get("routes") if r["prefix"].startswith("10.7.0.13"))
    assert shown["encap"] == "none" and shown["vtep"] is None and shown["installed"]


def test_ports_of_one_node_meet_there(lab):
    g1, g2 = lab.host("g1"), lab.host("g2")
    with lab.wire_tap(["left"]) as tap:
        assert ping_all([(g1, g2.ip4), (g2, g1.ip6)]) == []
        assert not tap.matching(between(g1.ip4, g2.ip4)) and not tap.matching(between(g1.ip6, g2.ip6))


def test_tenants_stay_apart(lab):
    b1, b3, g1 = lab.host("b1"), lab.host("b3"), lab.host("g1")
    assert ping_all([(b1, b3.ip4), (b3, b1.ip6)]) == []
    with lab.host_tap(["g1", "g3"], keep=lambda f: b"<blue>" in f.data) as tap:
        for target in ("g1", "g3"):
            for v6 in (False, True):
                assert not b1.udp_to(lab.host(target), b"<blue>", v6=v6, timeout=0.2)
        assert not tap.frames
    with lab.host_tap(["b1", "b3"], keep=lambda f: b"<green>" in f.data) as tap:
        for target in ("b1", "b3"):
            for v6 in (False, True):
                assert not g1.udp_to(lab.host(target), b"<green>", v6=v6, timeout=0.2)
        assert not tap.frames


def test_hosts_of_the_underlay_reach_this_tenant_only(lab):
    g1, b1, left = lab.host("g1"), lab.host("b1"), lab.node("left")
    for v6, router in ((False, lab.router("left", 4)), (True, lab.router("left", 6))):
        ping = ["ping", "-n", "-c", 1, "-W", 2]
        assert "1 received" in lab.wan.command(*ping, g1.address(v6)).stdout
        assert g1.ping(router)
        assert "0 received" in lab.wan.command(*ping[:-1], 1, b1.address(v6), check=False).stdout
    # nor the node itself: its stack is not a way around
    assert not g1.ping(left.underlay[0], check=False, timeout=1)


def test_spoofed_sources_are_dropped_by_name(lab):
    g1, left = lab.host("g1"), lab.node("left")
    sources = {False: [lab.host("g2").ip4, g1.ip4, left.underlay[0], "10.7.0.99", "127.0.0.1"],
               True: [lab.host("g2").ip6, g1.ip6, left.underlay[1], "fd00:7::99", "fe80::1"]}
    with lab.host_tap(["g1"], keep=lambda f: b"<spoofed>" in f.data) as tap:
        with drops_of(left, underlay_spoofed=sum(map(len, sources.values()))):
            for v6, list_ in sources.items():
                for s in list_:
                    to = g1.address(v6)
                    lab.inject("left", packet.any_ip(s, to, 17, packet.udp(s, to, 1, 9, b"<spoofed>")))
        assert not tap.frames
        s, to = lab.router("left", 4), g1.ip4
        lab.inject("left", packet.any_ip(s, to, 17, packet.udp(s, to, 1, 9, b"<spoofed>")))
        tap.wait(lambda f: True, what="the packet of an honest source")
    # and at the port, as at any other
    with drops_of(left, ip_spoofed=1):
        g1.send(packet.udp_frame(g1.mac, "02:69:73:74:68:6d", "10.7.0.99", lab.host("g3").ip4, 1, 9, b"x"))


def test_too_big_is_answered(lab):
    g1, g3 = lab.host("g1"), lab.host("g3")
    for v6, headers in ((False, 28), (True, 48)):
        to = g3.address(v6)
        g1.ns.ip("route flush cache")
        said = g1.ping_output(to, "-s", str(MTU - headers + 1), "-M", "do")
        assert re.search(rf"mtu[ =:]+{MTU}", said), said
        assert g1.ping(to, size=MTU - headers, df=True)


def test_what_others_do_to_our_routes_is_mended(lab):
    left = lab.node("left")
    want = routes(left)
    for harm in (f"route del {lab.host('g3').ip4}", f"-6 route del {lab.host('g3').ip6} metric 1",
                 f"route replace {lab.host('g3').ip4} via {lab.router('left', 4)} proto {PROTOCOL}",
                 f"route add 10.7.0.200 via {lab.router('left', 4)} proto {PROTOCOL}"):
        left.ns.command("ip", *harm.split())
        wait_until(lambda: routes(left) == want, 2, f"mended after {harm}")


def test_a_strangers_route_is_an_error_and_stays(lab):
    left, right = lab.node("left"), lab.node("right")
    fabric = lab.fabric.copy()
    fabric.port("g9", "right", "green/all", ["10.7.0.19"])
    left.ns.ip(f"route add 10.7.0.19 via {lab.router('left', 4)} proto static")
    before = routes(left)
    refused = left.apply(fabric.yaml(), check=False)
    assert refused.returncode and re.search(r"10\.7\.0\.19.*proto static.*in the way", refused.stdout + refused.stderr)
    assert "everything was undone" in refused.stdout + refused.stderr
    assert routes(left) == before
    assert "static" in left.ns.command("ip", "route", "show", "10.7.0.19").stdout
    left.ns.ip("route del 10.7.0.19")
    left.apply(fabric.yaml())
    assert routes(left)["10.7.0.19"] == {right.underlay[0]}
    left.apply(lab.fabric.yaml())
    assert routes(left) == before


def test_a_restart_takes_them_over(lab):
    left, g1, g3 = lab.node("left"), lab.host("g1"), lab.host("g3")
    before = routes(left)
    stream = [UdpStream(g1, g3), UdpStream(g3, g1, v6=True)]
    for s in stream:
        s.wait_flowing()
    with left.ns.spawn("ip", "monitor", "route", stdout=-1, text=True) as monitor:
        left.daemon.restart()
        left.wait_up()
        for s in stream:
            s.wait_flowing()
        monitor.terminate()
        assert f"proto {PROTOCOL}" not in monitor.stdout.read(), "a route was written anew"
    assert routes(left) == before
    assert [s.stop()["lost"] for s in stream] == [0, 0]
    # what a later configuration does not want goes
    left.daemon.kill9()
    text = lab.fabric.copy()
    del text.config["ports"]["g3"]
    left.daemon.write_config(text.yaml())
    left.daemon.start()
    assert routes(left) == {}
    left.daemon.write_config(lab.fabric.yaml())
    left.isthmus("apply", left.daemon.config)
    assert routes(left) == before


def test_the_encapsulation_changes_under_traffic(lab):
    """Node by node: what a node sends one way and the other does not yet take is lost, in that direction, between the
    two applies; nothing is delivered wrongly, and nothing afterwards.
    """
    g1, g3, b1, b3 = (lab.host(n) for n in ("g1", "g3", "b1", "b3"))
    green, blue = [UdpStream(g1, g3), UdpStream(g3, g1, v6=True)], UdpStream(b1, b3)
    for s in (*green, blue):
        s.wait_flowing()
    for encap in ("vxlan", "none"):
        text = native(lab.fabric, encap).yaml()
        lab.node("left").apply(text)
        lab.node("right").apply(text)
        for s in green:
            s.wait_flowing()
        with lab.wire_tap() as tap:
            for s in green:
                s.wait_flowing()
            assert bool(tap.matching(lambda f: is_tunnel(f) and b"\x00\x1b\x58" in f[:60])) == (encap == "vxlan")
        assert bool(routes(lab.node("left"))) == (encap == "none")
    report = [s.stop() for s in green]
    print("lost in two changes of the encapsulation:", [f"{r['lost']} of {r['sent']}" for r in report],
          "longest gaps:", [f"{r['longest_gap_ms']:.0f} ms" for r in report])
    assert all(r["duplicates"] == 0 for r in report)
    assert all(r["longest_gap_ms"] < 2000 for r in report)
    assert blue.stop()["lost"] == 0


@pytest.fixture(params=[4, 6], ids=["v4", "v6"])
def paths(request):
    """left and right joined by three cables, and left's route to right over all of them."""
    v = request.param
    fabric = Fabric(families=(v,))
    more = ("up1", "up2")
    for name in ("left", "right"):
        fabric.node(name, "dc", interfaces=["up0", *more])
    fabric.tenant("green", 7000)
    subnet, addresses = (("10.7.0.0/24", "10.7.0.{}") if v == 4 else ("fd00:7::/64", "fd00:7::{}"))
    fabric.network("green/all", "l3", encap="none", subnets=[subnet])
    for name, node, n in (("g1", "left", 11), ("g3", "right", 13)):
        fabric.port(name, node, "green/all", [addresses.format(n)])
    with Lab(fabric, cable=True, start=False) as lab:
        left, right = lab.node("left"), lab.node("right")
        hops = ""
        for n, name in enumerate(("up0", *more)):
            if n:
                left.ns.ip(f"link add {name} type veth peer name {name} netns {right.ns.full_name}")
                for node in (left, right):
                    node.ns.write_sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
                    node.ns.ip(f"link set {name} up")
            gateway = f"192.0.2.{n + 1}" if v == 4 else f"fe80::{n + 1}"
            left.ns.ip(f"neigh replace {gateway} lladdr {right.ns.link(name)['address']} dev {name} nud permanent")
            hops += f" nexthop via {gateway} dev {name} onlink"
        left.ns.ip(f"route replace {right.underlay[0]}/{32 if v == 4 else 128} {hops}")
        left.ns.write_sysctl(f"net/ipv{v}/fib_multipath_hash_policy", 1)
        lab.start()
        yield lab


def test_flows_take_every_path(paths):
    left, right, g1, g3 = paths.node("left"), paths.node("right"), paths.host("g1"), paths.host("g3")
    v6 = g3.ip4 is None
    assert len(routes(left)[g3.address(v6)]) == 3
    g1.ping(g3.address(v6))
    frames = [packet.udp_frame(g1.mac, "02:69:73:74:68:6d", g1.address(v6), g3.address(v6), 20000 + i, 9, b"<flow>")
              for i in range(96)]
    before = {name: right.ns.link(name)["stats64"]["rx"]["packets"] for name in ("up0", "up1", "up2")}
    with paths.host_tap(["g3"], keep=lambda f: b"<flow>" in f.data) as arrived:
        for n in range(1, 4):
            g1.send(*frames)
            wait_until(lambda n=n: arrived.total >= n * 96, 3, f"round {n} arrives")
    used = {n: right.ns.link(n)["stats64"]["rx"]["packets"] - before[n] for n in before}
    assert all(u >= 3 * 96 // 10 for u in used.values()), used


def test_a_teardown_takes_the_routes_away(lab):
    left = lab.node("left")
    assert routes(left)
    left.daemon.teardown()
    assert routes(left) == {}
    left.daemon.start()
    left.wait_up()
    assert routes(left)
