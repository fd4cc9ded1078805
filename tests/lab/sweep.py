# SPDX-License-Identifier: Apache-2.0
"""Row C9: packets of every size around what a path takes, and what becomes of each."""
import re
import socket

from lab import packet
from lab.run import LabError, wait_until


def probe(source, target, to_mac, size, df):
    """A UDP packet of `size` bytes of layer 3 that carries its size."""
    v6 = packet.is_v6(target)
    body = b"<%05d>" % size + bytes(size - (48 if v6 else 28) - 7)
    datagram = packet.udp(source.address(v6), target, 1000, 2000, body)
    p = (
        packet.ipv6(source.ip6, target, 17, datagram)
        if v6
        else packet.ipv4(source.ip4, target, 17, datagram, df=df, ident=size & 0xFFFF)
    )
    return packet.eth_ip(to_mac, source.mac, p)


def is_fragment(p):
    """Of an IP packet."""
    return p[6] == 44 if p[0] >> 4 == 6 else int.from_bytes(p[6:8], "big") & 0x3FFF != 0


def echo_request(source, address, to_mac, number):
    """A ping with a number, so that its answer tells how long one round trip is."""
    if packet.is_v6(address):
        body = packet.icmp6(source.ip6, address, 128, 0, number, b"<echo>")
        return packet.eth_ip(to_mac, source.mac, packet.ipv6(source.ip6, address, 58, body))
    return packet.eth_ip(to_mac, source.mac, packet.ipv4(source.ip4, address, 1, packet.icmp(8, 0, number, b"<echo>")))


def sweep(lab, source, target, to_mac, sizes, address, df):
    """Send one packet of every size, and a small ping right behind each.
    Returns sizes delivered, {size: (source, mtu)} answered.

    What is delivered is whole, what crosses the underlay is no fragment and no larger than it takes, and an answer is
    there within one round trip: before that of the ping.
    """
    number = lambda data: int(re.search(rb"<(\d{5})>", data)[1])  # noqa: E731
    delivered, answered = [], {}
    marked = lambda f: re.search(rb"<(\d{5}|echo)>", f.data)  # noqa: E731
    sizes = list(sizes)
    family = socket.AF_INET6 if packet.is_v6(address) else socket.AF_INET
    with (
        target.socket(family, socket.SOCK_DGRAM) as taker,
        target.tap(incoming_only=True, keep=marked) as there,
        source.tap(incoming_only=True, keep=marked) as back,
        lab.wire_tap(["dc1"], incoming_only=True) as wire,
    ):
        taker.bind((address, 2000))  # or its kernel would answer "port unreachable"
        with source.raw() as port:
            for size in sizes:
                port.send(probe(source, address, to_mac, size, df), echo_request(source, address, to_mac, size))
        try:
            wait_until(lambda: there.total + back.total >= 3 * len(sizes), 3)  # the pings arrive, and come back
        except LabError:
            pass  # what is missing shows in the comparison
        there.settle(0.05)
        assert (there.lost, back.lost, wire.lost) == (0, 0, 0)
        for f in there.frames:
            if b"<echo>" in f.data:
                continue
            delivered.append(number(f.data))
            assert packet.l3(f.data)[4][8:][:1] == b"<", "delivered, but not as it was sent"
            assert len(f.data) == 14 + number(f.data) and not is_fragment(f.data[14:]), "delivered in pieces"
        for f in wire.frames:
            if packet.l3(f.data):
                assert len(f.data) <= 14 + 1500 and not is_fragment(f.data[14:]), "fragments on the underlay"
        echoes = set()
        for f in back.frames:
            if b"<echo>" in f.data:
                echoes.add(int.from_bytes(packet.l3(f.data)[4][4:8], "big"))
                continue
            assert number(f.data) not in echoes, "later than a round trip"
            found = packet.too_big(f.data)
            assert found, f"an answer that is not `too big`: {f.data[:60].hex()}"
            assert number(f.data) not in answered, "answered twice"
            answered[number(f.data)] = found[:2]
            body = f.data[14:]
            if body[0] >> 4 == 4:
                assert packet.checksum(body[:20]) == 0 and packet.checksum(body[20:]) == 0, "checksum of the ICMP error"
    assert echoes == set(sizes), "pings without an answer"
    return sorted(delivered), answered
