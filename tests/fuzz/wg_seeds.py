# SPDX-License-Identifier: Apache-2.0
"""Seeds of the two targets of src/wg: what they do step by step, as fuzz_wg_handshake.c and fuzz_wg_data.c number it."""
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
