# SPDX-License-Identifier: Apache-2.0
"""Row E6: forged initiations with a right first MAC, from a million addresses, up to 100,000 a second, beside a flow."""
import os
import struct
import time

from helpers import processor_seconds, resident_kb, start_blast
from secured import WIREGUARD, SecuredLab, tunnel, tunnel_drops
from soak.run import Figure

from lab import packet
from lab.host import UdpStream
from lab.wireguard import first_mac

SOURCES, RATE = 1 << 20, 100000
FLOW = 2000  # packets/s
GROWTH_KB = 2048
ALONE = 10000  # packets of the flow
ASKED_FOR = {"cookie_sent", "bad_handshake", "socket_full"}  # load begins behind some that are looked at


def forged(lab):
    """One message from as many addresses: IPv4 without a UDP checksum, so the header's alone is made anew (RFC 1624)."""
    body = b"\1\0\0\0" + os.urandom(112)
    message = body + first_mac(lab.config_nodes()["aws1"]["public_key"], body) + bytes(16)
    udp = bytearray(packet.udp("10.0.0.0", lab.underlay_of("aws1"), 1024, WIREGUARD, message))
    udp[6:8] = bytes(2)
    first = packet.any_ip("10.0.0.0", lab.underlay_of("aws1"), 17, bytes(udp))
    ethernet = packet.eth_ip(lab.uplink_mac("aws1"), lab.wan.link("w-aws1")["address"], first)[:14]
    unsummed = ~struct.unpack_from("!H", first, 10)[0] & 0xFFFF
    for n in range(SOURCES):
        total = unsummed + (n >> 16) + (n & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        yield ethernet + first[:10] + struct.pack("!HHH", total, 10 << 8 | n >> 16, n & 0xFFFF) + first[16:]


def load_until(pid, done):
    """Cores in use, and for how long."""
    used, begun = processor_seconds(pid), time.monotonic()
    done()
    took = time.monotonic() - begun
    return (processor_seconds(pid) - used) / took, took


def soak(seconds):
    with SecuredLab(4) as lab:
        aws1 = lab.node("aws1")
        pid = aws1.daemon.process.pid
        handshakes = tunnel(aws1, "dc1")["handshakes"]
        before, memory = tunnel_drops(aws1), resident_kb(pid)
        stream = UdpStream(lab.host("w1"), lab.host("w2"), FLOW)
        stream.wait_flowing()
        alone, _ = load_until(pid, lambda: stream.wait_flowing(ALONE, 60))
        flood = start_blast(lab.wan, "w-aws1", forged(lab), RATE * seconds, RATE)
        load, took = load_until(pid, lambda: flood.wait(seconds * 10))
        result, now = stream.stop(), tunnel_drops(aws1)
        rise = {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}
        more, made = resident_kb(pid) - memory, tunnel(aws1, "dc1")["handshakes"] - handshakes
    print(f"  of them: {rise}", flush=True)
    return [
        Figure("forged initiations that reached the daemon", sum(rise.values()) / took, "/s", "> 0"),
        Figure("their addresses", SOURCES),
        Figure("cookies", rise.get("cookie_sent", 0), "", "> 0"),
        Figure("other drops", sum(n for name, n in rise.items() if name not in ASKED_FOR), "", "= 0"),
        Figure("processor time of the flow alone", alone, "of a core"),
        Figure("more with them", load - alone, "of a core", "<= 1"),
        Figure("more memory", more, "KB", f"<= {GROWTH_KB}"),
        Figure("sessions begun", made, "", f"<= {seconds // 60 + 1}"),
        Figure("packets of the flow", result["sent"], "", "> 0"),
        Figure("lost of them", result["lost"], "", "= 0"),
    ]
