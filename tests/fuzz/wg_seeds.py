# SPDX-License-Identifier: Apache-2.0
"""Seeds of the targets of src/wg: what they do step by step, as fuzz_wg_handshake.c, fuzz_wg_data.c,
fuzz_wg_probe.c, fuzz_wg_relay.c and fuzz_wg_segment.c number it."""
import struct

LEFT, RIGHT = 0, 0x80
INITIATE, SEND, TIME, LOAD, MADE_UP, MOVE, DROP, REPEAT, SPOIL, DELIVER = range(10)


def at(place, what):
    return bytes([place << 4 | what])


def time(ms):
    return bytes([TIME]) + struct.pack(">H", ms // 10)


FLUSH = bytes([DELIVER]) * 4
SESSION = bytes([INITIATE]) + FLUSH


def wg_handshake():
    for suites in range(16):
        both = bytes([suites]) + SESSION + bytes([SEND, SEND | RIGHT]) + FLUSH
        yield both
        yield both + bytes([INITIATE | RIGHT, INITIATE]) + FLUSH * 2 + bytes([SEND, SEND | RIGHT]) + FLUSH
    session = b"\0" + SESSION
    yield session + bytes([SEND, REPEAT, REPEAT]) + FLUSH
    yield session + bytes([MOVE]) + b"\x12\x34" + bytes([SEND]) + FLUSH + bytes([SEND | RIGHT]) + FLUSH
    yield session + (bytes([SEND]) + time(60000) + FLUSH) * 4
    yield session + (bytes([SEND | RIGHT]) + time(30000) + FLUSH) * 8
    yield session + bytes([SEND]) + time(190000) + FLUSH + bytes([SEND]) + FLUSH
    yield session + time(540000) + bytes([SEND]) + FLUSH
    yield b"\x0f" + time(100) + FLUSH + (time(5000) + FLUSH) * 6
    yield b"\0" + bytes([INITIATE, DROP]) + (time(6000) + bytes([DROP])) * 20 + bytes([INITIATE]) + FLUSH
    yield b"\0" + bytes([INITIATE, INITIATE]) + FLUSH + bytes([INITIATE, REPEAT, DELIVER]) + FLUSH
    for loaded in (LEFT, RIGHT):
        yield b"\0" + (bytes([LOAD | loaded, INITIATE]) + FLUSH + time(900)) * 30
        yield b"\0" + bytes([LOAD | RIGHT, INITIATE, DELIVER, REPEAT, DELIVER]) + time(1000) + bytes([LOAD | loaded]) + time(0) + \
            bytes([INITIATE]) + FLUSH * 2
    yield b"\0" + (bytes([LOAD | RIGHT, INITIATE]) + FLUSH) * 12
    yield b"\0" + bytes([LOAD | RIGHT, INITIATE]) + FLUSH + time(121000) + bytes([LOAD | RIGHT, INITIATE]) + FLUSH * 2
    for how in (0, 1, 3, 7):
        for offset in (0, 1, 2, 4, 8, 12, 20, 40, 60, 90, 120, 132, 147):
            yield b"\0" + bytes([INITIATE, SPOIL, offset, 0x10, how]) + FLUSH
            yield b"\0" + bytes([INITIATE, DELIVER, SPOIL, offset, 0x10, how]) + FLUSH
            yield session + bytes([SEND, SPOIL, offset, 0x10, how]) + FLUSH
            yield b"\0" + bytes([LOAD | RIGHT, INITIATE, DELIVER, SPOIL, offset, 0x10, how]) + FLUSH
    for kind in range(8):
        for size in range(8):
            yield b"\0" + bytes([MADE_UP, size, kind]) + bytes(15) + session[1:] + bytes([MADE_UP | RIGHT, size, kind, 1]) + bytes(14)


NOW, PLACE, FORGE, BREAK, OPEN, SEAL = 0, 1, 2, 3, 4, 6


def seal(n, size, mtu):
    return bytes([SEAL, n - 1]) + struct.pack(">H", size) + bytes([mtu])


def on(message, what):
    return bytes([message << 3 | what])


def wg_data():
    for suite in (0, 1):
        head = bytes([suite])
        for size in (0, 1, 15, 16, 17, 64, 100, 299):
            yield head + seal(4, size, 60) + b"".join(on(i, OPEN) for i in (0, 1, 1, 3, 2, 2))
        for place in range(8):
            yield head + seal(2, 20, 255) + on(0, OPEN) + on(place, PLACE) + seal(4, 20, 255) + seal(4, 20, 255) + \
                b"".join(on(i, OPEN) for i in range(10))
        for offset in (0, 1, 4, 8, 15, 16, 30, 31, 47):
            for cut in (0, 1, 40):
                yield head + seal(1, 16, 255) + on(0, BREAK) + struct.pack(">H", offset) + bytes([1, cut])
        for ms in (120000, 165000, 179996, 180000):
            yield head + seal(1, 16, 255) + bytes([NOW]) + struct.pack(">H", ms // 4) + on(0, OPEN) + seal(1, 1, 255)
        for start in (b"\4\0\0\0", b"\4\1\0\0", b"\4\0\0\0" + bytes(4) + b"\xff" * 8, b"\x45\0\0\x14", b"\x45\0\0\x60", b"\x60\0\0\0\0\x08",
                      b"\x60\0\0\0\xff\0", b"\x45\0\0\x01"):
            yield head + bytes([FORGE, 48]) + start.ljust(48, b"\0") + bytes([FORGE, 4]) + start[:4]


PASS, DATA, BEGUN, CARRIES, TOLD, FORGED, ANSWERED, RUN = range(8)
TO_ALL = RUN | 8  # a round, and all that gets through is answered


def carries(size):
    return bytes([CARRIES]) + struct.pack(">H", size)


def told(which, v6=0, moved=0):
    return bytes([TOLD | which << 3 | v6 << 6 | moved << 7])


def later(ms):
    return bytes([PASS]) + struct.pack(">H", ms)


def wg_probe():
    regular = (later(10000) + bytes([DATA, TO_ALL, TO_ALL])) * 3
    for v6 in (0, 1):
        for which in range(8):
            for size in (300, 800, 1279, 1400, 1500, 3000):
                yield told(which, v6) + carries(size) + bytes([BEGUN]) + bytes([TO_ALL]) * 40 + regular
        narrow = told(5, v6) + bytes([BEGUN]) + bytes([TO_ALL]) * 4 + carries(1400) + (later(10000) + bytes([DATA]) + bytes([TO_ALL]) * 12)
        yield narrow + carries(1500) + (later(60000) + bytes([DATA]) + bytes([TO_ALL]) * 8) * 12
        yield narrow + told(3, v6) + bytes([TO_ALL]) * 4 + told(5, v6) + bytes([TO_ALL]) * 12 + told(5, 1 - v6, 1) + bytes([TO_ALL]) * 12
        yield narrow + told(0, v6) + regular
        yield narrow + carries(100) + regular * 3
    yield told(5) + bytes([BEGUN]) + bytes([RUN]) * 6 + regular + bytes([BEGUN, TO_ALL, TO_ALL, BEGUN | 8, TO_ALL])
    for first in (ANSWERED, ANSWERED | 8):
        yield told(5) + bytes([BEGUN, RUN, first, RUN, RUN, ANSWERED, FORGED]) + bytes(41) + bytes([RUN, FORGED]) + bytes(41)
    for round_number in (0, 1, 2):
        made_up = bytes([32, 0x11, 0, 0, 0]) + struct.pack(">IIIQQ", round_number, 5, 6, 7, 9) + bytes(8)
        yield told(5) + bytes([BEGUN, RUN, FORGED]) + made_up + bytes([RUN, FORGED]) + made_up[:1] + b"\x11\x20" + made_up[3:]


BY_RELAY, RELAYING = 0x40, 0x80


def wg_relay():
    for flags in (0, BY_RELAY, RELAYING, RELAYING | BY_RELAY):
        for whose in range(5):
            for whom in range(6):
                for how in (0, 1, 2, 3, 8, 17):
                    yield bytes([flags | whose | 2 << 3]) + bytes([how, whom]) * 3
    for how in (0, 1, 2, 8, 16):
        for place in (0, 1, 2, 3, 4, 15, 16, 17, 18, 19, 20):
            for bits in (1, 0x10, 0x80):
                yield bytes([RELAYING, how | 4, 1, place, bits])
        for cut in (0, 1, 16, 32, 47):
            yield bytes([RELAYING | 4, how | 0xc0, 1, cut])
    yield bytes([RELAYING | 7 << 3, 8, 1, 8, 1, 8, 4, 8, 4, 0, 1, 2, 9, 8, 2, 8, 1])


NO_VXLAN, SPOILED, GIVEN = 1, 2, 4
TCP4, TCP6, TUNNEL4, TUNNEL6 = 1, 4, 0x20, 0x40


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def ip(v6, protocol, payload):
    if v6:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + b"\x0a\0\0\1\x0a\0\0\2"
    return header[:10] + struct.pack(">H", ~checksum(header) & 0xffff) + header[12:] + payload


def tcp(v6, sequence, payload, flags=0x10, whole=True):
    """`whole`: with its checksum; else with the sum of the pseudo-header, as super-packets have it."""
    segment = struct.pack(">HHIIBBHHH", 80, 5000, sequence, 7, 0x50, flags, 500, 0, 0) + payload
    addresses = (bytes(15) + b"\1" + bytes(15) + b"\2") if v6 else b"\x0a\0\0\1\x0a\0\0\2"
    pseudo = addresses + struct.pack(">HH", 6, len(segment))
    total = ~checksum(pseudo + segment) & 0xffff if whole else checksum(pseudo)
    return ip(v6, 6, segment[:16] + struct.pack(">H", total) + segment[18:])


def vxlan(outer6, inner6, packet):
    frame = bytes(12) + (b"\x86\xdd" if inner6 else b"\x08\0") + packet
    return ip(outer6, 17, struct.pack(">HHHH", 50000, 4789, 16 + len(frame), 0) + b"\x08\0\0\0\0\0\7\0" + frame)


def wg_segment():
    how = (0, NO_VXLAN, SPOILED)
    for outer in (None, False, True):
        for v6 in (False, True):
            around = (lambda p: p) if outer is None else (lambda p, o=outer, i=v6: vxlan(o, i, p))
            front = 0 if outer is None else (40 if outer else 20) + 30
            kind = (TCP6 if v6 else TCP4) | (0 if outer is None else TUNNEL6 if outer else TUNNEL4)
            start = front + (40 if v6 else 20)
            header = struct.pack(">BBHHHHH", 1, kind, 100, start, 16, 0 if outer is None else 40 if outer else 20, front)
            for h in how:
                for flags in (0x10, 0x18, 0x91):
                    for length in (80, 100, 101, 450):
                        yield bytes([h, 2, start + 4, 1]) + header + around(tcp(v6, 1, bytes(length), flags, False))
            packets = [around(tcp(v6, 1 + 100 * i, bytes([i]) * (60 if i == 4 else 100))) for i in range(5)]
            for h in how:
                yield bytes([GIVEN | h, 2, start + 4, 1]) + b"".join(struct.pack(">H", len(p)) + p for p in packets)
            yield bytes([GIVEN, 0, 0, 0]) + b"".join(struct.pack(">H", len(p)) + p for p in reversed(packets))
    yield bytes([0, 0, 0, 0]) + struct.pack(">BBHHHHH", 1, 0, 0, 20, 6, 0, 0) + ip(False, 17, bytes(20))
    yield bytes([0, 0, 0, 0]) + struct.pack(">BBHHHHH", 1, 0, 0, 20, 60, 0, 0) + ip(False, 17, bytes(20))
