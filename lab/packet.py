# SPDX-License-Identifier: Apache-2.0
"""Frames by hand: what the lab sends and recognises, byte by byte.

Every builder takes and returns bytes and computes its own lengths and checksums; addresses are text.  The readers at
the end say just enough about a frame to match it.  No packet library is needed to run the demo.
"""
import socket
import struct

ETH_IP4, ETH_ARP, ETH_IP6 = 0x0800, 0x0806, 0x86DD
BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def mac_text(raw):
    return ":".join(f"{b:02x}" for b in raw)


def is_v6(address):
    return ":" in address


def ip(text):
    return socket.inet_pton(socket.AF_INET6 if is_v6(text) else socket.AF_INET, text)


def ip_text(raw):
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(dst, src, kind, payload):
    return mac(dst) + mac(src) + struct.pack("!H", kind) + payload


def ipv4(src, dst, protocol, payload, ttl=64, df=False, ident=0, more=False, offset=0, tos=0):
    flags = (0x4000 if df else 0) | (0x2000 if more else 0) | offset // 8
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), ident, flags, ttl, protocol, 0) + ip(src) + ip(dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, protocol, payload, hops=64, traffic_class=0, flow=0):
    word = 6 << 28 | traffic_class << 20 | flow
    return struct.pack("!IHBB", word, len(payload), protocol, hops) + ip(src) + ip(dst) + payload


def ipv6_fragment(protocol, ident, offset, more, payload):
    return struct.pack("!BBHI", protocol, 0, offset | (1 if more else 0), ident) + payload


def any_ip(src, dst, protocol, payload, **options):
    """IPv4 or IPv6 by the addresses; only options that both have."""
    return (ipv6 if is_v6(dst) else ipv4)(src, dst, protocol, payload, **options)


def eth_ip(dst_mac, src_mac, packet):
    return eth(dst_mac, src_mac, ETH_IP6 if packet[0] >> 4 == 6 else ETH_IP4, packet)


def _with_checksum(src, dst, protocol, segment, at):
    pseudo = ip(src) + ip(dst)
    pseudo += (
        struct.pack("!I3xB", len(segment), protocol) if is_v6(dst) else struct.pack("!BBH", 0, protocol, len(segment))
    )
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment) or 0xFFFF) + segment[at + 2 :]


def udp(src, dst, sport, dport, payload):
    segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return _with_checksum(src, dst, 17, segment, 6)


def tcp(src, dst, sport, dport, flags=0x02, payload=b""):
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, flags, 65535, 0, 0) + payload
    return _with_checksum(src, dst, 6, segment, 16)


def icmp(kind, code, rest=0, payload=b""):
    segment = struct.pack("!BBHI", kind, code, 0, rest) + payload
    return segment[:2] + struct.pack("!H", checksum(segment)) + segment[4:]


def icmp6(src, dst, kind, code, rest=0, payload=b""):
    return _with_checksum(src, dst, 58, struct.pack("!BBHI", kind, code, 0, rest) + payload, 2)


def udp_frame(src_mac, dst_mac, src, dst, sport, dport, payload, **options):
    return eth_ip(dst_mac, src_mac, any_ip(src, dst, 17, udp(src, dst, sport, dport, payload), **options))


def arp(operation, sender_mac, sender_ip, target_mac, target_ip, dst=BROADCAST, src=None, tail=b""):
    body = (
        struct.pack("!HHBBH", 1, ETH_IP4, 6, 4, operation)
        + mac(sender_mac)
        + ip(sender_ip)
        + mac(target_mac)
        + ip(target_ip)
    )
    return eth(dst, src or sender_mac, ETH_ARP, body + tail)


def arp_request(sender_mac, sender_ip, target_ip, **options):
    return arp(1, sender_mac, sender_ip, "00:00:00:00:00:00", target_ip, **options)


def solicited_node(target):
    raw = ip(target)
    return ip_text(bytes.fromhex("ff0200000000000000000001ff") + raw[13:]), mac_text(b"\x33\x33\xff" + raw[13:])


def neighbour_solicitation(src_mac, src, target, options=b""):
    group, group_mac = solicited_node(target)
    if src != "::":
        options = b"\x01\x01" + mac(src_mac) + options
    return eth(
        group_mac, src_mac, ETH_IP6, ipv6(src, group, 58, icmp6(src, group, 135, 0, 0, ip(target) + options), hops=255)
    )


def neighbour_advertisement(src_mac, src, target, target_mac, dst="ff02::1", dst_mac="33:33:00:00:00:01", options=b""):
    body = ip(target) + b"\x02\x01" + mac(target_mac) + options
    return eth(dst_mac, src_mac, ETH_IP6, ipv6(src, dst, 58, icmp6(src, dst, 136, 0, 0x20000000, body), hops=255))


def nonce_option(text):
    """An ND option (type 14, RFC 3971 5.3.2) that carries text, padded to a multiple of 8."""
    body = text + b"\0" * (-(len(text) + 2) % 8)
    return struct.pack("!BB", 14, (len(body) + 2) // 8) + body


def vxlan(vni, frame, flags=0x08):
    return struct.pack("!B3xI", flags, vni << 8) + frame


def fragments(packet, size, ident=77):
    """Cut one IPv4 or IPv6 packet (without extension headers) into fragments of at most `size` bytes of payload."""
    size -= size % 8
    if packet[0] >> 4 == 4:
        src, dst, protocol, body = ip_text(packet[12:16]), ip_text(packet[16:20]), packet[9], packet[20:]
        return [
            ipv4(src, dst, protocol, body[i : i + size], ident=ident, more=i + size < len(body), offset=i)
            for i in range(0, len(body), size)
        ]
    src, dst, protocol, body = ip_text(packet[8:24]), ip_text(packet[24:40]), packet[6], packet[40:]
    return [
        ipv6(src, dst, 44, ipv6_fragment(protocol, ident, i, i + size < len(body), body[i : i + size]))
        for i in range(0, len(body), size)
    ]


# ---- reading


def ethertype(frame):
    return struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0


def l3(frame):
    """(version, source, destination, protocol, payload) of an IP frame, or None.  IPv6 fragments show protocol 44."""
    kind = ethertype(frame)
    if kind == ETH_IP4 and len(frame) >= 34:
        head, total = (frame[14] & 15) * 4, struct.unpack_from("!H", frame, 16)[0]
        return 4, ip_text(frame[26:30]), ip_text(frame[30:34]), frame[23], frame[14 + head : 14 + total]
    if kind == ETH_IP6 and len(frame) >= 54:
        length = struct.unpack_from("!H", frame, 18)[0]
        return 6, ip_text(frame[22:38]), ip_text(frame[38:54]), frame[20], frame[54 : 54 + length]
    return None


def inner_of(frame, port=4789):
    """(VNI, inner frame) of a VXLAN packet, or None."""
    p = l3(frame)
    if p and p[3] == 17 and len(p[4]) >= 16 and struct.unpack_from("!H", p[4], 2)[0] == port:
        return struct.unpack_from("!I", p[4], 12)[0] >> 8, p[4][16:]
    return None


def too_big(frame):
    """(source, MTU, quote) of an ICMP fragmentation-needed or ICMPv6 packet-too-big, or None."""
    p = l3(frame)
    if p and p[3] == 1 and p[4][:2] == b"\x03\x04":
        return p[1], struct.unpack_from("!H", p[4], 6)[0], p[4][8:]
    if p and p[3] == 58 and p[4][:1] == b"\x02":
        return p[1], struct.unpack_from("!I", p[4], 4)[0], p[4][8:]
    return None
