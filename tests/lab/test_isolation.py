# SPDX-License-Identifier: Apache-2.0
"""Row C5: sixteen tenants with identical addresses and MACs on two sites.

    dc1:  a host per tenant, l2 and l3            aws1:  a host per tenant, l2 and l3
          all l2 hosts 02:..:aa 10.0.1.11              all l2 hosts 02:..:bb 10.0.1.12
          all l3 hosts 02:..:ac 10.0.2.11              all l3 hosts 02:..:bd 10.0.2.12

Every tenant sends frames that carry its own canary in every kind of traffic; a tap on every port tells who received
what.
"""
import pytest
from helpers import ping_all

from lab import packet
from lab.fabric import Fabric
from lab.room import Lab

TENANTS = [f"t{i:02}" for i in range(16)]
L2 = {"a": ("02:00:00:00:00:aa", "10.0.1.11", "fd00:1::11"), "b": ("02:00:00:00:00:bb", "10.0.1.12", "fd00:1::12")}
L3 = {"a": ("02:00:00:00:00:ac", "10.0.2.11", "fd00:2::11"), "b": ("02:00:00:00:00:bd", "10.0.2.12", "fd00:2::12")}
NODES = {"a": "dc1", "b": "aws1"}
GATEWAY_MAC = "02:69:73:74:68:6d"


@pytest.fixture(scope="module", params=[4, 6], ids=["v4 underlay", "v6 underlay"])
def lab(request):
    fabric = Fabric(families=(request.param,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    for i, t in enumerate(TENANTS):
        fabric.tenant(t, 5000 + i)
        fabric.network(
            f"{t}/web", vni=6000 + i, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"]
        )
        fabric.network(f"{t}/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
        for end, node in NODES.items():
            fabric.port(f"{t}{end}", node, f"{t}/web", L2[end][1:], mac=L2[end][0])
            fabric.port(f"{t}{end}3", node, f"{t}/app", L3[end][1:], mac=L3[end][0])
    with Lab(fabric) as lab:
        yield lab


def canary(tenant, kind):
    return f"<{tenant}:{kind}>".encode()


def l2_frames(tenant):
    """kind -> frames of the tenant's host a.  Each frame carries its canary."""
    (mac, v4, v6), (to_mac, to4, to6) = L2["a"], L2["b"]
    c = lambda kind: canary(tenant, kind)  # noqa: E731
    big4 = packet.ipv4(v4, to4, 17, packet.udp(v4, to4, 1, 2, c("fragments") * 100))
    big6 = packet.ipv6(v6, to6, 17, packet.udp(v6, to6, 1, 2, c("fragments") * 100))
    quote4 = packet.ipv4(to4, v4, 17, packet.udp(to4, v4, 1, 2, c("icmp errors")))
    quote6 = packet.ipv6(to6, v6, 17, packet.udp(to6, v6, 1, 2, c("icmp errors")))
    return {
        "unicast": [
            packet.udp_frame(mac, to_mac, v4, to4, 1, 2, c("unicast")),
            packet.udp_frame(mac, to_mac, v6, to6, 1, 2, c("unicast")),
            packet.eth_ip(to_mac, mac, packet.ipv4(v4, to4, 6, packet.tcp(v4, to4, 1, 2, payload=c("unicast")))),
            packet.eth(to_mac, mac, 0x88B5, c("unicast")),
        ],
        "broadcast": [
            packet.udp_frame(mac, packet.BROADCAST, v4, "255.255.255.255", 1, 2, c("broadcast")),
            packet.eth(packet.BROADCAST, mac, 0x88B5, c("broadcast")),
        ],
        "multicast": [
            packet.udp_frame(mac, "01:00:5e:00:00:fb", v4, "224.0.0.251", 1, 2, c("multicast")),
            packet.udp_frame(mac, "33:33:00:00:00:fb", v6, "ff02::fb", 1, 2, c("multicast")),
        ],
        # An unknown target, so that the question is flooded and does not end at its own node.
        "arp": [
            packet.arp_request(mac, v4, "10.0.1.99", tail=c("arp")),
            packet.arp(2, mac, v4, to_mac, to4, dst=to_mac, tail=c("arp")),
        ],
        "nd": [
            packet.neighbour_solicitation(mac, v6, "fd00:1::99", options=packet.nonce_option(c("nd"))),
            packet.neighbour_advertisement(mac, v6, v6, mac, to6, to_mac, options=packet.nonce_option(c("nd"))),
        ],
        "fragments": [packet.eth_ip(to_mac, mac, f) for p in (big4, big6) for f in packet.fragments(p, 400)],
        "icmp errors": [
            packet.eth_ip(to_mac, mac, packet.ipv4(v4, to4, 1, packet.icmp(3, 3, 0, quote4))),
            packet.eth_ip(to_mac, mac, packet.ipv6(v6, to6, 58, packet.icmp6(v6, to6, 1, 4, 0, quote6))),
        ],
    }


def l3_frames(tenant):
    (mac, v4, v6), (_, to4, to6) = L3["a"], L3["b"]
    gw = GATEWAY_MAC
    c = lambda kind: canary(tenant, kind)  # noqa: E731
    quote4 = packet.ipv4(to4, v4, 17, packet.udp(to4, v4, 1, 2, c("icmp errors")))
    quote6 = packet.ipv6(to6, v6, 17, packet.udp(to6, v6, 1, 2, c("icmp errors")))
    big4 = packet.ipv4(v4, to4, 17, packet.udp(v4, to4, 1, 2, c("fragments") * 100))
    big6 = packet.ipv6(v6, to6, 17, packet.udp(v6, to6, 1, 2, c("fragments") * 100))
    return {
        "unicast": [
            packet.udp_frame(mac, gw, v4, to4, 1, 2, c("unicast")),
            packet.udp_frame(mac, gw, v6, to6, 1, 2, c("unicast")),
            # Out of the l3 network into the l2 one of the tenant: routed.
            packet.udp_frame(mac, gw, v4, L2["b"][1], 1, 2, c("unicast")),
            # And to the one beside it, routed and delivered on the same node.
            packet.udp_frame(mac, gw, v4, L2["a"][1], 1, 2, c("unicast")),
            packet.udp_frame(mac, gw, v6, L2["a"][2], 1, 2, c("unicast")),
        ],
        "broadcast": [packet.udp_frame(mac, packet.BROADCAST, v4, "255.255.255.255", 1, 2, c("broadcast"))],
        "multicast": [packet.udp_frame(mac, "33:33:00:00:00:fb", v6, "ff02::fb", 1, 2, c("multicast"))],
        "arp": [packet.arp_request(mac, v4, to4, tail=c("arp"))],
        "nd": [packet.neighbour_solicitation(mac, v6, to6, options=packet.nonce_option(c("nd")))],
        "fragments": [packet.eth_ip(gw, mac, f) for p in (big4, big6) for f in packet.fragments(p, 400)],
        "icmp errors": [
            packet.eth_ip(gw, mac, packet.ipv4(v4, to4, 1, packet.icmp(3, 3, 0, quote4))),
            packet.eth_ip(gw, mac, packet.ipv6(v6, to6, 58, packet.icmp6(v6, to6, 1, 4, 0, quote6))),
        ],
    }


def received(tap):
    """(sender's tenant, kind, receiving port) -> frames."""
    found = {}
    for f in tap.snapshot():
        at = f.data.find(b"<t")
        if at < 0:  # an answer that quotes less
            continue
        tenant, kind = f.data[at + 1 : f.data.index(b">", at)].decode().split(":")
        key = tenant, kind, f.place
        found[key] = found.get(key, 0) + 1
    return found


def run_matrix(lab, frames, sender):
    """All tenants send all kinds; returns what every port received."""
    with lab.host_tap(keep=lambda f: b"<t" in f.data) as tap:
        for t in TENANTS:
            with lab.host(t + sender).raw() as port:
                for kind_frames in frames(t).values():
                    port.send(*kind_frames)
        tap.settle(0.3, 20)
        assert tap.lost == 0
        return received(tap)


def test_everybody_inside_a_tenant_talks(lab):
    wanted = []
    for t in TENANTS:
        wanted += [(lab.host(t + "a"), a) for a in (*L2["b"][1:], *L3["b"][1:], *L3["a"][1:])]
        wanted += [(lab.host(t + "b3"), a) for a in (*L2["a"][1:], *L3["a"][1:])]
    assert ping_all(wanted) == []


@pytest.mark.parametrize("mode", ["l2", "l3"])
def test_nothing_of_a_tenant_reaches_another(lab, mode):
    """240 ordered pairs x 7 kinds: 0 frames; and every kind that should arrive inside the tenant does."""
    frames, sender = (l2_frames, "a") if mode == "l2" else (l3_frames, "a3")
    found = run_matrix(lab, frames, sender)
    leaks = {k: n for k, n in found.items() if not k[2].startswith(k[0])}
    assert leaks == {}
    for t in TENANTS:
        sent = {kind: len(list_) for kind, list_ in frames(t).items()}
        if mode == "l2":
            # At the far host: everything, once.
            assert {k: found.get((t, k, t + "b"), 0) for k in sent} == sent
            assert not any(found.get((t, k, t + "b3")) for k in sent)
        else:
            arrived = {
                "unicast": 2,
                "broadcast": 0,
                "multicast": 0,
                "arp": 0,
                "nd": 0,
                "fragments": sent["fragments"],
                "icmp errors": 2,
            }
            assert {k: found.get((t, k, t + "b3"), 0) for k in sent} == arrived
            assert found.get((t, "unicast", t + "b"), 0) == 1
            assert found.get((t, "unicast", t + "a"), 0) == 2


def test_a_tenants_errors_and_answers_stay_with_it(lab):
    """ICMP errors that the fabric itself makes (too big, unreachable, time exceeded) go to the one who caused them
    only.
    """
    (mac, v4, v6), _ = L2["a"], L2["b"]
    gw = GATEWAY_MAC
    with lab.host_tap() as tap:
        for t in TENANTS:
            mark = canary(t, "error")
            lab.host(t + "a").send(
                packet.udp_frame(mac, gw, v4, "10.0.2.99", 1, 2, mark),
                packet.udp_frame(mac, gw, v4, "172.16.9.9", 1, 2, mark),
                packet.udp_frame(mac, gw, v4, L3["b"][1], 1, 2, mark, ttl=1),
                packet.udp_frame(mac, gw, v6, "fd00:2::99", 1, 2, mark),
                packet.udp_frame(mac, gw, v6, L3["b"][2], 1, 2, mark, hops=1),
            )
        tap.wait(lambda f: b":error>" in f, 5 * len(TENANTS), 5)
        tap.settle(0.1)
        found = received(tap)
    assert found == {(t, "error", t + "a"): 5 for t in TENANTS}
