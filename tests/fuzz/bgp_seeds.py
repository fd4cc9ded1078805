# SPDX-License-Identifier: Apache-2.0
"""Seeds of the BGP targets: every message, attribute and route type once well-formed, and the ways in which they go wrong."""
import struct

MARKER = b"\xff" * 16
RD = bytes.fromhex("0001c00002010005")
ESI0, ESI1 = bytes(10), bytes.fromhex("00112233445566778899")
V4, V6 = bytes([192, 0, 2, 1]), bytes.fromhex("20010db8000000000000000000000001")
LOCAL = bytes.fromhex("fe800000000000000000000000000001")
MAC = b"\2\0\0\0\0\1"


def u16(v):
    return struct.pack("!H", v)


def u32(v):
    return struct.pack("!I", v)


def attr(flags, kind, value):
    if flags & 0x10:
        return bytes([flags, kind]) + u16(len(value)) + value
    return bytes([flags, kind, len(value)]) + value


def path(*ases, width=4, kind=2):
    return bytes([kind, len(ases)]) + b"".join(a.to_bytes(width, "big") for a in ases)


def evpn(kind, value):
    return bytes([kind, len(value)]) + value


def host(a):
    return bytes([8 * len(a)]) + a


def routes():
    yield evpn(1, RD + ESI1 + u32(7) + b"\0\x13\x89")
    for ip in (b"", V4, V6):
        for labels in (b"\0\x13\x89", b"\0\x13\x89\0\x13\x88", b""):
            yield evpn(2, RD + ESI0 + u32(0) + b"\x30" + MAC + host(ip) + labels)
    for ip in (V4, V6):
        yield evpn(3, RD + u32(0) + host(ip))
        yield evpn(4, RD + ESI1 + host(ip))
    yield evpn(5, RD + ESI0 + u32(0) + b"\x18" + bytes([10, 1, 2, 0]) + bytes(4) + b"\0\x13\x88")
    yield evpn(5, RD + ESI0 + u32(0) + b"\x18" + bytes([10, 1, 2, 0]) + V4 + bytes(3))
    yield evpn(5, RD + ESI0 + u32(0) + b"\x40" + b"\xfd" + bytes(15) + bytes(16) + b"\0\x13\x88")
    yield evpn(5, RD + ESI1 + u32(0) + b"\x40" + b"\xfd" + bytes(15) + V6 + bytes(3))


def wrong_routes():
    yield evpn(2, RD + ESI0 + u32(0) + b"\x2f" + MAC + host(V4) + b"\0\0\1")
    yield evpn(2, RD + ESI0 + u32(0) + b"\x30" + b"\1" + MAC[1:] + host(V4) + b"\0\0\1")
    yield evpn(2, RD + ESI0 + u32(0) + b"\x30" + MAC + b"\x21" + V4 + b"\0\0\1")
    yield evpn(2, RD + ESI0 + u32(0) + b"\x30" + MAC + host(bytes(10) + b"\xff\xff" + V4) + b"\0\0\1")
    yield evpn(2, RD + ESI0 + u32(0) + b"\x30" + MAC + host(b"\xe0\0\0\1") + b"\0\0\1")
    yield evpn(2, RD + b"\6" + ESI0[1:] + u32(0) + b"\x30" + MAC + host(V4) + b"\0\0\1")
    yield evpn(3, RD + u32(0) + b"\0")
    yield evpn(4, RD + ESI0 + host(V4))
    yield evpn(4, RD + b"\xff" * 10 + host(V4))
    yield evpn(5, RD + ESI0 + u32(0) + b"\x21" + bytes([10, 1, 2, 0]) + bytes(4) + b"\0\x13\x88")
    yield evpn(5, RD + ESI0 + u32(0) + b"\x18" + bytes([10, 1, 2, 0]) + bytes(7))
    yield evpn(5, RD + ESI1 + u32(0) + b"\x18" + bytes([10, 1, 2, 0]) + V4 + bytes(3))
    yield evpn(5, RD + ESI0 + u32(0) + b"\x08" + bytes([224, 1, 2, 0]) + bytes(4) + b"\0\x13\x88")
    yield evpn(5, RD + ESI0 + u32(0) + b"\x80" + bytes(10) + b"\xff\xff" + V4 + bytes(16) + b"\0\0\1")
    yield from (evpn(kind, b"") for kind in (0, 1, 2, 3, 4, 5, 6, 255))
    yield b"\3\xff" + RD
    yield b"\3"


def bgp_evpn():
    everything = b"".join(routes())
    for bits in (0, 1):
        yield from (bytes([bits]) + r for r in routes())
        yield from (bytes([bits]) + everything[:40] + r + everything[:40] for r in wrong_routes())
        yield bytes([bits]) + everything
        yield bytes([bits | 2]) + b"".join(u32(i) + r for i, r in enumerate(routes()))
        yield bytes([bits | 2]) + b"\0\0\0\1"
        yield bytes([bits | 4]) + everything + b"\3\x80"


ORIGIN, HOP, PREF = attr(0x40, 1, b"\0"), attr(0x40, 3, V4), attr(0x40, 5, u32(100))
PATH = attr(0x40, 2, path(65001, 65002))
TARGET = attr(0xc0, 16, bytes.fromhex("0002fde800001389"))


def reach(afi, safi, hop, nlri, flags=0x80):
    return attr(flags, 14, u16(afi) + bytes([safi, len(hop)]) + hop + b"\0" + nlri)


def unreach(afi, safi, nlri):
    return attr(0x80, 15, u16(afi) + bytes([safi]) + nlri)


def update(attrs=b"", nlri=b"", withdrawn=b""):
    return u16(len(withdrawn)) + withdrawn + u16(len(attrs)) + attrs + nlri


NLRI = b"\x18\x0a\1\0"
INTERNAL, EXTERNAL, OLD = 2, 3, 0


def attributes():
    """Each attribute: well-formed, then malformed."""
    yield from (attr(0x40, 1, v) for v in (b"", b"\0\0", b"\3"))
    yield from (attr(0x40, 2, v) for v in (b"", b"\2", path(0), path(), path(65001, kind=5), path(65001, kind=1),
                                           path(65003, kind=3) + path(65001), path(65001) + path(1, 2, kind=4)))
    yield from (attr(0x40, 3, v) for v in (b"", V6, bytes(4), b"\x7f\0\0\1", b"\xe0\0\0\1"))
    for flags, kind, size in ((0x80, 4, 4), (0x40, 5, 4), (0x40, 6, 0), (0xc0, 7, 8), (0xc0, 8, 8), (0x80, 9, 4), (0x80, 10, 8),
                              (0xc0, 16, 24), (0xc0, 18, 8), (0xc0, 25, 20), (0xc0, 32, 24), (0xc0, 99, 9), (0xc0, 200, 0)):
        yield attr(flags, kind, bytes(range(1, size + 1)))
        yield attr(flags, kind, bytes(size + 1))
        yield attr(flags ^ 0x80, kind, bytes(size))
        yield attr(flags | 0x10, kind, bytes(range(1, size + 1))) * 2
    yield attr(0xc0, 7, bytes(8))
    yield attr(0xc0, 16, bytes.fromhex("0102c00002010005" "0202fa56ea000005" "030c000000000008" "030c0000000000ff"
                                       "030d000000000000" "0600010000000005" "0600000000000009" "0602020000000001"
                                       "0603020000000001" "0603010000000001" "4300000000000001" "0002fde800001389"
                                       "0002fde800001389" "030c000000000013"))
    yield from (attr(0xc0, 17, v) for v in (b"", path(4200000000), path(65003, kind=3) + path(65002), path(1, 2, 3), b"\2\1"))
    yield from (attr(0xc0, 22, v) for v in (b"", b"\0\6\0\0\1" + V4, b"\0\6\0\0\1" + V6, b"\0\6\0\0\1", b"\0\6\0\0\1" + bytes(4),
                                            b"\0\3\0\0\1abc"))
    yield from (attr(0xc0, 23, v) for v in (b"", b"\0\x08\0\4\1\2ab", b"\0\x08\0\4\x81\0\1a", b"\0\x08\0\4\1\3ab", b"\0\x08\0"))
    yield attr(0xd0, 99, bytes(300))
    yield b"\x40"
    yield b"\xd0\x63\xff\xff\0"
    yield attr(0x40, 99, b"\0")
    yield attr(0x80, 99, b"\0")


def bgp_update():
    base = ORIGIN + PATH + HOP
    for kind in (INTERNAL, EXTERNAL):
        more = b"" if kind & 1 else PREF
        yield bytes([kind]) + update(base + more, NLRI)
        yield from (bytes([kind]) + update(base + more + a, NLRI) for a in attributes())
        yield from (bytes([kind]) + update(a + (PATH if a[1:2] == b"\1" else ORIGIN) + HOP + more, NLRI) for a in attributes())
    for kind, s in ((INTERNAL, b"\0\x08"), (INTERNAL, b"\1")):
        yield bytes([kind]) + s
    old = [path(65001, 23456, 65002, width=2), path(65001, 23456, width=2) + path(1, 2, kind=1, width=2),
           path(65003, kind=3, width=2) + path(65001, 23456, width=2), b""]
    for p in old:
        for p4 in (path(4200000000), path(4200000000, 5), path(4200000000, 6, 7, 8, 9), path(65003, kind=3) + path(6, 7)):
            for aggregator in (b"", attr(0xc0, 7, u16(23456) + V4) + attr(0xc0, 18, u32(4200000000) + V4),
                               attr(0xc0, 7, u16(65001) + V4) + attr(0xc0, 18, u32(4200000000) + V4)):
                yield bytes([OLD]) + update(ORIGIN + attr(0x40, 2, p) + HOP + PREF + attr(0xc0, 17, p4) + aggregator, NLRI)
    rest = ORIGIN + PATH + PREF + TARGET
    blocks = [(1, 1, V4, NLRI), (1, 1, V6, NLRI), (1, 1, V6 + LOCAL, NLRI), (2, 1, V6, b"\x10\xfd\0"),
              (2, 1, V6 + V6, b"\x10\xfd\0"), (2, 1, V6 + LOCAL, b"\x81\xfd"), (2, 1, V4, b"\x10\xfd\0"),
              (2, 1, V6, b"\x80" + bytes(10) + b"\xff\xff" + V4), (2, 1, V6, b"\x10\xff\2"), (2, 1, V6, b"\x20\xfd"),
              (2, 1, LOCAL, b"\x10\xfd\0"), (25, 70, V4, b"".join(routes())), (25, 70, V6, b"".join(routes())),
              (25, 70, b"\xe0\0\0\1", b"".join(routes())[:60]), (25, 70, b"12345", b"".join(routes())),
              (25, 70, V4, b"\3\x80"), (1, 128, V4, b"\0"), (25, 70, V4, b"".join(wrong_routes()))]
    for bits in (2, 2 | 32, 2 | 64, 2 | 8, 3):
        for b in blocks:
            yield bytes([bits]) + update(reach(*b, flags=0x90) + rest, b"")
    yield bytes([2]) + update(reach(25, 70, V4, b"") * 2 + rest)
    yield bytes([2]) + update(b"\x80\x0e\x03\0\x19\x46" + rest)
    yield bytes([2]) + update(b"\x80\x0e\x7f\0\x19\x46")
    yield bytes([2]) + update(ORIGIN + PATH + PREF + reach(25, 70, V4, b"".join(routes())[:60]))
    yield bytes([2]) + update(unreach(25, 70, b"".join(routes())[:200]) + unreach(2, 1, b"\x10\xfd\0"))
    yield bytes([2 | 64]) + update(unreach(2, 1, b"\x81\xfd"))
    for block in (b"", b"\x10\xfd\0", b"\x81"):
        yield bytes([2]) + update(unreach(2, 1, block))
    yield bytes([2]) + update(unreach(2, 2, b""))
    yield bytes([2]) + update(unreach(2, 1, b"")[:-1])
    yield bytes([2]) + update(b"\x80\x0f\2\0\2")
    yield bytes([2]) + update()
    yield bytes([2 | 8]) + update()
    yield bytes([2 | 8]) + update(base, NLRI)
    yield bytes([2]) + update(attr(0x40, 1, b""))
    yield bytes([2]) + update(base + PREF, NLRI, b"\x08\x0a\4\xe0")
    yield bytes([2]) + update(base + PREF, b"\x21")
    yield bytes([2]) + update(base + PREF, b"\4\xe0" + NLRI)
    yield bytes([2]) + update(b"", b"", b"\x21")
    yield bytes([2 | 16]) + update(base + PREF, u32(7) + NLRI + u32(8) + NLRI)
    yield bytes([2]) + b"\0\1"
    yield bytes([2]) + b"\0\0\0\1"
    yield bytes([7]) + update(base, NLRI)
    yield bytes([7]) + update(ORIGIN + attr(0x40, 2, path(65009)) + HOP, NLRI)
    yield bytes([2]) + update(attr(0x50, 2, path(*range(1, 256)) * 8) + ORIGIN + HOP + PREF, NLRI)
    yield bytes([2 | 128]) + update(base + PREF + attr(0xd0, 99, bytes(9000)), NLRI)


def capability(code, value=b""):
    return bytes([code, len(value)]) + value


def bgp_open():
    head = b"\4\xfd\xe8\0\x5a" + V4
    capabilities = [capability(1, b"\0\1\0\1"), capability(1, b"\0\2\0\1"), capability(1, b"\0\x19\0\x46"),
                    capability(1, b"\0\1\0\x80"), capability(2), capability(6), capability(70), capability(65, u32(4200000000)),
                    capability(5, b"\0\1\0\1\0\2"), capability(64, b"\xc0\x78\0\1\1\x80\0\x19\x46\0"),
                    capability(69, b"\0\1\1\1\0\x19\x46\3\0\2\1\2\0\1\1\4"), capability(64, b"\0\1"), capability(1, b"\0"),
                    capability(65, b"\0"), capability(65, bytes(4)), capability(2, b"x"), capability(6, b"x"),
                    capability(5, b"\0\1\0\1\0"), capability(5, b"\0\2\1\1\0\2"), capability(64, b"\0"), capability(64, b"\0\1\0"),
                    capability(69, b"\0\1"), b"\1", b"\1\5\0"]
    everything = b"".join(capabilities[:12])

    def parameter(value, kind=2):
        return bytes([kind, len(value)]) + value

    yield head + b"\0"
    yield from (head + bytes([len(c) + 2]) + parameter(c) for c in capabilities)
    yield head + bytes([len(everything) + 2]) + parameter(everything)
    yield head + b"\xff\xff" + u16(len(everything) + 3) + b"\2" + u16(len(everything)) + everything
    yield from (head + tail for tail in (b"\1", b"\2\2", b"\2\1\0", b"\2\2\1", b"\xff\xff", b"\xff\xff\0\1", b"\xff\xff\0\0",
                                         b"\xff\xff\0\3\2\xff\xff", b"\xff\xff\0\3\1\0\0"))
    yield b"\3" + head[1:] + b"\0"
    yield b"\4\0\0" + head[3:] + b"\0"
    yield head[:3] + b"\0\1" + V4 + b"\0"
    yield head[:5] + bytes(4) + b"\0"
    yield head[:7]


def message(kind, body):
    return MARKER + u16(19 + len(body)) + bytes([kind]) + body


def bgp_stream():
    opens = list(bgp_open())
    notifications = [b"\6\1" + b"\0\1\1" + u32(100), b"\4\0", b"\6\2\2hi", b"\6\4\3hi", b"\6\2\4h\x1b\xc3\xa9", b"\6\x09\6\2\2hi",
                     b"\6\x09", b"\6\2\x03\xed\xa0\x80", b"\6\2\x04\xf0\x9f\x98\x80", b"\6\2\2\xc2\x80", b"\6\2\2\xc0\x80",
                     b"\6\2\1\xc3", b"\6\2\0", b"\6\2", b"\7\1", b"\xff\xff", b"\2\x05", b"\6\2\xff" + b"x" * 252 + b"\xc3\xa9x"]
    refreshes = [b"\0\x19\0\x46", b"\0\1\1\1", b"\0\1\0\x80", b"\0\1\0\1\0"]
    yield b"\2" + message(1, opens[0]) + message(4, b"") + message(2, update(ORIGIN + PATH + HOP + PREF, NLRI)) + message(4, b"")
    yield from (b"\2" + message(1, o) for o in opens[-4:])
    yield from (b"\2" + message(3, n) + message(4, b"") for n in notifications)
    yield from (b"\2" + message(5, r) for r in refreshes)
    yield b"\2" + message(2, update())
    yield b"\x82" + message(2, update(ORIGIN + PATH + HOP + PREF + attr(0xd0, 99, bytes(5000)), NLRI)) + message(4, b"")
    yield b"\2" + message(2, update(ORIGIN + PATH + HOP + PREF + attr(0xd0, 99, bytes(5000)), NLRI))
    yield b"\x82" + message(1, opens[0] + bytes(5000))
    for broken in (b"\xff\0", MARKER + b"\0\x12\4", MARKER + b"\0\x13\0", MARKER + b"\0\x13\6", MARKER + b"\0\x14\4", MARKER,
                   MARKER + b"\0\x15\2\0\0", MARKER + b"\0\x20\4"):
        yield b"\2" + message(4, b"") + broken
