# SPDX-License-Identifier: Apache-2.0
"""Rows B8 and B9: packets that somebody on the way forges for a session that is up, with its very numbers.

    w1 -- dc1 --+            the session goes through the router, which sees it, and sends what it likes
    w2 -- aws1 -+ wan

Whoever sees the session can end it with one packet: that is tried first, so that a forged packet which does nothing later
was one that would have done something.
"""
import os
import struct
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from helpers import start_blast  # noqa: E402

from lab import packet  # noqa: E402
from lab.fabric import Fabric  # noqa: E402
from lab.hand import UPDATE, message  # noqa: E402
from lab.host import UdpStream  # noqa: E402
from lab.room import Lab  # noqa: E402
from lab.run import wait_until  # noqa: E402

NODES = ("dc1", "aws1")
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
HOPS = 8  # the lab has a router between the two; what is allowed is more, so that TTLs below it can be tried
LEAST_TTL = 256 - HOPS


def neighbor(lab, node, **keys):
    other = NODES[1 - NODES.index(node)]
    far = {"address": lab.node(other).underlay[0], "remote_as": 65000, "families": ["evpn"], "ttl_security": HOPS, **keys}
    return {"as": 65000, "hold_time": 9, "mesh": "none", "neighbors": {"far": far}}


def key_file(lab, node, text):
    path = os.path.join(os.path.dirname(lab.node(node).daemon.config), "bgp.key")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return path


def file_of(lab, node, **keys):
    return lab.fabric.own_yaml(node, alone=True, bgp=neighbor(lab, node, **keys))


def session(lab, node="dc1"):
    (found,) = lab.node(node).isthmus("bgp", "neighbors", json_output=True)["items"]
    return found


def wait_up(lab, timeout=20):
    wait_until(lambda: all(session(lab, n)["state"] == "Established" for n in NODES), timeout, "the session is up")


@pytest.fixture(scope="module")
def lab():
    fabric = Fabric(families=(4,))
    fabric.node("dc1", "dc")
    fabric.node("aws1", "aws")
    fabric.tenant("red", 5000)
    fabric.network("red/web", vni=5001, subnets=["10.0.1.0/24"])
    for n, node in enumerate(NODES, 1):
        fabric.port(f"w{n}", node, "red/web", [f"10.0.1.{10 + n}"])
    with Lab(fabric, start=False) as lab:
        lab.start(wait_up=False, file_of=lambda name: file_of(lab, name))
        wait_up(lab)
        yield lab


def segment(conversation, flags, payload=b"", ahead=0, ttl=255):
    """A TCP segment as its sender would send it next; ahead: beyond what it has sent."""
    source, target, sport, dport, sequence, acknowledged = conversation
    head = struct.pack("!HHIIBBHHH", sport, dport, (sequence + ahead) % 2**32, acknowledged, 5 << 4, flags, 65535, 0, 0)
    pseudo = packet.ip(source) + packet.ip(target) + struct.pack("!BBH", 0, 6, len(head) + len(payload))
    total = packet.checksum(pseudo + head + payload)
    return packet.ipv4(source, target, 6, head[:16] + struct.pack("!H", total) + head[18:] + payload, ttl=ttl)


def overheard(lab):
    """The session as aws1 would go on with it towards dc1: addresses, ports and the next numbers."""
    here, there = (lab.node(n).underlay[0] for n in NODES)

    def is_one(frame):
        p = packet.l3(frame.data)
        return p and p[3] == 6 and {p[1], p[2]} == {here, there} and not p[4][13] & (SYN | RST) and frame

    with lab.wire_tap(["aws1"], keep=is_one) as tap:
        lab.node("dc1").isthmus("bgp", "refresh", "far")
        wait_until(lambda: session(lab)["queued"] == 0 and tap.snapshot(), 5, "something of the session")
        tap.settle(0.3)
        last = [packet.l3(f.data) for f in tap.snapshot()]
    p = next(p for p in reversed(last) if p[1] == there)
    sport, dport, sequence, acknowledged, offset = struct.unpack_from("!HHIIB", p[4])
    return there, here, sport, dport, (sequence + len(p[4]) - (offset >> 4) * 4) % 2**32, acknowledged


def send(lab, packets):
    lab.inject("dc1", *packets)


def test_what_is_forged_well_ends_the_session(lab):
    """Without a key, and from as far as is allowed: the control of what follows."""
    before = session(lab)["resets"]
    send(lab, [segment(overheard(lab), RST, ttl=LEAST_TTL)])
    wait_until(lambda: session(lab)["resets"] == before + 1, 5, "the session is reset")
    wait_up(lab)


def forged(conversation, i, ttl):
    """RST, FIN, SYN, data that is no BGP, and data that is."""
    kinds = ((RST, b""), (RST | ACK, b""), (FIN | ACK, b""), (SYN, b""), (PSH | ACK, b"\0" * 19), (PSH | ACK, message(UPDATE, b"\0")))
    flags, payload = kinds[i % len(kinds)]
    return segment(conversation, flags, payload, ttl=ttl)


def test_what_comes_from_too_far_is_not_heard(lab):
    """Row B8: 10,000 of them, right in all but the TTL, and connections of the neighbor's address."""
    conversation, before = overheard(lab), session(lab)
    here = lab.node("dc1").underlay[0]
    packets = [forged(conversation, i, ttl) for i, ttl in enumerate((1, 2, 64, 128, 200, LEAST_TTL - 2, LEAST_TTL - 1) * 24)]
    new = [segment((conversation[0], here, 20000 + i, 179, 1000, 0), SYN, ttl=(1, 64, LEAST_TTL - 1)[i % 3]) for i in range(72)]
    mac, own = lab.uplink_mac("dc1"), packet.mac_text(bytes(6))
    with lab.wire_tap(["dc1"], keep=lambda f: f.incoming and is_answer(f, range(20000, 20072))) as tap:
        process = start_blast(lab.wan, "w-dc1", [packet.eth_ip(mac, own, p) for p in packets + new], 10000)
        assert process.wait(60) == 0
        after = session(lab)
        tap.settle(0.2)
        answers = tap.total
    assert (after["state"], after["resets"], after["established"]) == ("Established", before["resets"], before["established"])
    assert answers == 0, "connections were taken from too far away"
    lab.node("dc1").isthmus("bgp", "refresh", "far")
    wait_up(lab)


def is_answer(frame, ports):
    p = packet.l3(frame.data)
    return p and p[3] == 6 and struct.unpack_from("!H", p[4], 2)[0] in ports


def test_a_flood_without_the_key(lab):
    """Row B9: 10,000 forged packets a second for three seconds, right in all but the signature; traffic goes on."""
    for node in NODES:
        text = file_of(lab, node, password_file=key_file(lab, node, "secret\n"))
        assert lab.node(node).apply(text).returncode == 0
    for node in NODES:
        lab.node(node).isthmus("bgp", "reset", "far")
    wait_until(lambda: session(lab)["password"] and session(lab)["state"] == "Established", 20, "a session with the key")
    wait_up(lab)
    conversation, before, stream = overheard(lab), session(lab), UdpStream(lab.host("w1"), lab.host("w2"))
    mac, own = lab.uplink_mac("dc1"), packet.mac_text(bytes(6))
    frames = [packet.eth_ip(mac, own, forged(conversation, i, 255)) for i in range(60)]
    frames += [packet.eth_ip(mac, own, segment(conversation, RST, ahead=a, ttl=255)) for a in range(0, 60000, 1460)]
    process = start_blast(lab.wan, "w-dc1", frames, 30000, 10000)
    lab.node("dc1").isthmus("bgp", "refresh", "far")
    assert process.wait(60) == 0
    after = session(lab)
    assert (after["state"], after["resets"], after["established"]) == ("Established", before["resets"], before["established"])
    assert stream.stop()["lost"] == 0
