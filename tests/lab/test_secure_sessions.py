# SPDX-License-Identifier: Apache-2.0
"""Rows E3, E5 and E6 with running daemons: packets of a session again and out of order, sessions that are renewed under
load, forged handshakes; see secured.py for the picture."""
import os
import random
import struct
import time

import pytest
from helpers import processor_seconds, resident_kb, start_blast
from secured import CANARY, OLD_S, WIREGUARD, SecuredLab, aimed, ip_packet, is_data, tunnel_drops

from lab import packet
from lab.host import UdpStream
from lab.run import wait_until
from lab.wireguard import first_mac

WINDOW = 8128  # of numbers behind the highest one
RENEWALS = 10


@pytest.fixture(scope="module", params=[4, 6], ids=["underlay4", "underlay6"])
def lab(request):
    with SecuredLab(request.param) as lab:
        yield lab


def numbered(lab, source, target, number):
    return aimed(lab, source, target, f"{CANARY}{number:06d}")


def number_of(frame):
    at = frame.index(CANARY.encode()) + len(CANARY)
    return int(frame[at : at + 6])


def counter_of(frame):
    """Of a message of a session, and the session."""
    message = packet.l3(frame)[4][8:]
    return message[4:8], struct.unpack_from("<Q", message, 8)[0]


def of_aws1(lab, name):
    return tunnel_drops(lab.node("aws1"))[name]


def canary_tap(lab):
    return lab.host_tap(["w2", "r2"], keep=lambda f: CANARY.encode() in f.data)


def sealed_tap(lab):
    return lab.wire_tap(["dc1"], incoming_only=True, keep=lambda f: is_data(f.data))


def test_what_comes_again_is_refused(lab):
    """Everything three times more, in any order."""
    with canary_tap(lab) as there, sealed_tap(lab) as wire:
        for n in range(0, 400, 20):
            lab.host("w1").send(*[numbered(lab, "w1", "w2", n + i) for i in range(10)])
            lab.host("r1").send(*[numbered(lab, "r1", "r2", n + i) for i in range(10, 20)])
        wait_until(lambda: there.total == 400, 5, "all of them")
        wire.settle(0.1)
        again = [ip_packet(f.data) for f in wire.frames] * 3
        before = of_aws1(lab, "replayed")
        random.shuffle(again)
        lab.inject("aws1", *again)
        wait_until(lambda: of_aws1(lab, "replayed") - before == len(again), 5, f"{len(again)} refused by name")
        there.settle(0.1)
        assert there.total == 400 and len(again) >= 1200 and wire.lost == there.lost == 0
    print(f"{len(again)} packets again, 0 delivered")


def test_within_the_window_order_does_not_matter(lab):
    """Everything is held up on the way, and arrives in the opposite order: what is within the window is delivered."""
    many = WINDOW + 300
    lab.wan.command("nft", "-f", "-", input=f"""table inet held {{
        chain c {{
            type filter hook forward priority 0;
            iifname "sw-dc" udp dport {WIREGUARD} @th,64,8 4 drop
        }}
    }}""")
    try:
        with sealed_tap(lab) as wire:
            for n in range(0, many, 100):
                lab.host("w1").send(*[numbered(lab, "w1", "w2", n + i) for i in range(min(100, many - n))])
                wait_until(lambda n=n: wire.total >= min(n + 100, many), 5, "sealed")
    finally:
        lab.wan.command("nft", "delete", "table", "inet", "held")
    assert wire.lost == 0
    held = sorted((f.data for f in wire.frames), key=lambda f: counter_of(f)[1], reverse=True)
    assert len({counter_of(f)[0] for f in held}) == 1, "one session"
    newest = counter_of(held[0])[1]
    late = [f for f in held if newest - counter_of(f)[1] > WINDOW]
    before = of_aws1(lab, "replayed")
    with canary_tap(lab) as there:
        for i in range(0, len(held), 64):
            lab.inject("aws1", *[ip_packet(f) for f in held[i : i + 64]])
            done = min(i + 64, len(held) - len(late))
            wait_until(lambda d=done: there.total >= d - 20, 5, "they arrive")  # some are of the kernel's own
        wait_until(lambda: of_aws1(lab, "replayed") - before == len(late), 5, f"{len(late)} older than the window")
        there.settle(0.1)
        numbers = [number_of(f.data) for f in there.frames]
    assert len(late) >= 250 and len(set(numbers)) == len(numbers)
    assert len(numbers) >= WINDOW - 20 and max(numbers) == many - 1
    print(f"{len(held)} packets in the opposite order: {len(numbers)} delivered, {len(late)} too late")


def handshakes(lab, of="dc1"):
    return lab.node(of).metrics()[f'isthmus_tunnel_handshakes_total{{node="{"aws1" if of == "dc1" else "dc1"}"}}']


def test_renewed_sessions_lose_nothing(lab):
    """Row E5, in small: each session is as old as it may get at once."""
    pairs = (("w1", "w2", False), ("w2", "w1", True), ("r1", "r2", True), ("r2", "r1", False))
    streams = [UdpStream(lab.host(a), lab.host(b), 1000, v6, 7100 + n) for n, (a, b, v6) in enumerate(pairs)]
    for s in streams:
        s.wait_flowing()
    begun = handshakes(lab)
    for _ in range(RENEWALS):
        before = [handshakes(lab, of) for of in lab.nodes]
        for _ in range(3):  # what is under way with the session before must not be too old at once
            lab.skip(OLD_S // 3 + 1)
            for s in streams:
                s.wait_flowing(5)
        wait_until(lambda b=before: all(handshakes(lab, of) > x for of, x in zip(lab.nodes, b)), 5, "a new session")
    made = handshakes(lab) - begun
    results = [s.stop() for s in streams]
    print(f"{made:.0f} sessions, {sum(r['sent'] for r in results)} packets, lost {[r['lost'] for r in results]}, "
          f"longest gap {max(r['longest_gap_ms'] for r in results):.0f} ms")
    assert made >= RENEWALS
    drops = [{k: v for k, v in tunnel_drops(n).items() if v} for n in lab.nodes.values()]
    assert [(r["lost"], r["duplicates"]) for r in results] == [(0, 0)] * 4, drops


def forged(lab, n):
    """Initiations with a right first MAC, from n addresses, as anybody makes them who knows the public key."""
    body = b"\1\0\0\0" + os.urandom(112)
    message = body + first_mac(lab.config_nodes()["aws1"]["public_key"], body) + bytes(16)
    there, frames = lab.underlay_of("aws1"), []
    macs = lab.uplink_mac("aws1"), lab.wan.link("w-aws1")["address"]
    for i in range(n):
        source = f"2001:db8:66:{i:x}::1" if packet.is_v6(there) else f"10.66.{i >> 8}.{i & 255}"
        p = packet.any_ip(source, there, 17, packet.udp(source, there, 1024 + i, WIREGUARD, message))
        frames.append(packet.eth_ip(*macs, p))
    return frames


def test_forged_handshakes_leave_sessions_alone(lab):
    """Row E6, as fast as the machine lets it."""
    w1, w2, aws1 = lab.host("w1"), lab.host("w2"), lab.node("aws1")
    pid = aws1.daemon.process.pid
    frames = forged(lab, 4000)
    before, memory, made = tunnel_drops(aws1), resident_kb(pid), handshakes(lab)
    stream = UdpStream(w1, w2, 500)
    stream.wait_flowing()
    used, begun = processor_seconds(pid), time.monotonic()
    flood = start_blast(lab.wan, "w-aws1", frames, 10**8, 100000)
    try:
        wait_until(lambda: tunnel_drops(aws1)["cookie_sent"] > before.get("cookie_sent", 0), 10, "load, and cookies for it")
        stream.wait_flowing(600)
        assert w2.tcp_to(w1, 4 << 20) == 4 << 20
    finally:
        lab.run.end(flood)
    seconds = time.monotonic() - begun
    load = (processor_seconds(pid) - used) / seconds
    result = stream.stop()
    now = tunnel_drops(aws1)
    rise = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
    more = resident_kb(pid) - memory
    print(f"{sum(rise.values()) / seconds:,.0f} forged initiations/s for {seconds:.1f} s: {rise}, {load:.2f} of a core, "
          f"{more} KB more, {result['lost']} of {result['sent']} packets lost")
    assert result["lost"] == 0 and handshakes(lab) == made
    assert load <= 1 and more <= 2048
