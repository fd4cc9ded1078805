#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes well-formed inputs of the targets into DIR/<target>/, for the fuzzers to start from.

write_seeds.py DIR      (packet: tests/bpf/write_seeds.c)

Everything is made here by hand; `tools/fuzz --minimise` merges what the fuzzers found since into tests/fuzz/corpus.
"""
import os
import struct
import sys

from bgp_seeds import bgp_evpn, bgp_open, bgp_stream, bgp_update
from wg_seeds import wg_data, wg_handshake, wg_probe, wg_relay, wg_segment

# ---- netlink ----

DONE, ERROR = 3, 2
NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWNEIGH = 16, 17, 20, 21, 24, 25, 28
NEWRULE, DELRULE, NEWQDISC, DELQDISC, NEWTFILTER, DELTFILTER, NEWNETCONF, NEWNEXTHOP = 32, 33, 36, 37, 44, 45, 80, 104
F_MULTI, F_EXCL, F_INTR = 2, 0x200, 0x10
CLSACT = 0xfffffff1
V4, V6, OUR_PROTOCOL = b"\xc0\x00\x02\x0b", b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x0b", 0x69


def message(kind, body=b"", flags=F_MULTI, seq=0):
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body + b"\0" * (-len(body) % 4)


def attr(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def u32(value):
    return struct.pack("=I", value)


def datagrams(*parts):
    return b"".join(struct.pack(">H", len(p)) + p if isinstance(p, bytes) else struct.pack(">H", p) for p in parts)


def done(error=0):
    return message(DONE, struct.pack("=i", error))


def ack(error=0):
    return message(ERROR, struct.pack("=i", error) + b"\0" * 16)


def link(index=7, name=b"web9\0", kind=NEWLINK, info=b"veth\0", hardware=1, family=0, flags=0x41, more=b""):
    body = struct.pack("=BxHiII", family, hardware, index, flags, 0)
    nest = attr(18, attr(1, info)) if info else b""
    return message(kind, body + attr(3, name) + attr(4, u32(1500)) + attr(1, b"\2\0\0\0\0\7") + attr(10, u32(2)) + nest
                   + attr(37, u32(1)) + attr(23, struct.pack("=24Q", *range(24))) + more)


def address(kind=NEWADDR, own=V4, index=2, local=True):
    family = 2 if len(own) == 4 else 10
    return message(kind, struct.pack("=BBBBI", family, 24, 0, 0, index) + attr(1, own) + (attr(2, own) if local else b""))


def route(kind=NEWROUTE, family=2, more=b""):
    return message(kind, struct.pack("=BBBBBBBBI", family, 32, 0, 0, 254, 4, 0, 1, 0) + attr(4, u32(2)) + more)


def hop(index, more=b"", flags=0):
    """One next hop of several."""
    return struct.pack("=HBBi", 8 + len(more), flags, 0, index) + more


def neighbour(protocol=OUR_PROTOCOL, state=2, own=V4, managed=True):
    family = 2 if len(own) == 4 else 10
    return message(NEWNEIGH, struct.pack("=BxxxiHBB", family, 2, state, 0, 1) + attr(1, own) +
                   attr(12, bytes([protocol])) + (attr(15, u32(1)) if managed else b""))


def tc(kind, index=11, handle=7, parent=0xfffffff2, priority=1, flags=F_MULTI, classifier=b"bpf\0", name=b"x:[1]\0"):
    options = attr(2, attr(7, name) + attr(11, u32(9)))
    body = struct.pack("=BxxxiIII", 0, index, handle, parent, priority << 16 | 0x300)
    return message(kind, body + attr(1, classifier) + options, flags)


def netlink():
    links = link() + link(8, b"v\0", info=b"tun\0") + link(9, b"br0\0", info=b"bridge\0") + link(1, b"lo\0", hardware=772)
    dump = [links, link(7, b"renamed\0") + link(8, b"web9\0"), done()]
    addresses = [address() + address(own=V6) + address(own=b"\1\2\3"), done()]
    settings = attr(26, attr(2, attr(1, u32(1) * 40)) + attr(10, attr(2, u32(1) * 90)))
    events = [
        link(14, b"isthmus4789\0", info=b"vxlan\0", more=settings), link(11, b"web1\0", more=settings),
        link(11, b"web1\0", flags=0x40), link(11, b"other\0"), link(11, kind=DELLINK), link(family=7),
        link(12, b"web1\0") + link(11, b"web1\0"), address(kind=DELADDR), address(own=V6, local=False), address(index=99),
        route(), route(DELROUTE, 10), message(NEWRULE, b"\2" + b"\0" * 11), message(DELRULE, b"\2" + b"\0" * 11),
        message(NEWNEXTHOP, b"\0" * 8), message(NEWNETCONF, b"\2\0\0\0" + attr(1, u32(11)) + attr(2, u32(1))),
        message(NEWNETCONF, b"\2\0\0\0" + attr(1, u32(11)) + attr(3, u32(2))),
        tc(NEWTFILTER), tc(NEWTFILTER, flags=F_EXCL), tc(DELTFILTER), tc(DELQDISC), tc(DELQDISC, parent=CLSACT),
        tc(DELTFILTER, index=-1), neighbour(), message(99, b"x"), link()[:20], message(NEWLINK, b"x")]
    lost = [0xfff0, links, done(), *addresses]
    via = attr(18, struct.pack("=H", 10) + V6)
    several = [hop(2, attr(5, V4)) + hop(3, via, flags=4), hop(2, attr(5, V4)) * 9, hop(2)[:7], hop(2)[:2] + hop(2)]
    routes = [route(more=attr(5, V4) + attr(7, V4) + attr(8, attr(2, u32(1400)))), route(more=via), route(family=7),
              *(route(more=attr(1, V4) + attr(9, ways)) for ways in several), route(family=10, more=attr(1, V4))]
    filters = [tc(NEWTFILTER) + tc(NEWTFILTER, handle=0) + tc(NEWTFILTER, classifier=b"flower\0") +
               tc(NEWTFILTER, name=b"n" * 63 + b"\0"), done()]
    qdisc = tc(NEWQDISC, parent=CLSACT, classifier=b"clsact\0")
    yield from (bytes([0]) + e for e in events + routes)
    yield bytes([1]) + datagrams(*dump, *addresses)
    yield bytes([1]) + datagrams(message(NEWLINK, b"", F_MULTI | F_INTR) + done(), *dump, *addresses)
    yield bytes([1]) + datagrams(links, ack(-1))
    yield bytes([1]) + datagrams(*dump, 0xfff3)
    yield bytes([2]) + datagrams(link(11, b"web1\0") + link(99), done())
    yield bytes([2]) + datagrams(links + message(NEWLINK, seq=77), 0xfff1, links, done(-4))
    yield from (bytes([3]) + datagrams(e) for e in events)
    yield bytes([3]) + datagrams(*events)
    yield bytes([3]) + datagrams(*lost)
    yield bytes([3]) + datagrams(0xfff2, done(-4), *[done(-4)] * 9)
    yield bytes([3]) + datagrams(0xfff1, 0xfff3)
    yield from (bytes([4]) + datagrams(r + ack(), r, link(2) + ack()) for r in routes)
    yield bytes([4]) + datagrams(route().replace(u32(2), u32(77)) + ack(), link(77) + ack(), ack(-101), ack())
    yield bytes([5]) + datagrams(neighbour(managed=False) + ack(), ack(), neighbour() + neighbour(own=V6), done(), ack(), ack())
    yield bytes([5]) + datagrams(neighbour(state=0x80) + ack(), neighbour(3), done())
    yield bytes([5]) + datagrams(ack(-2), ack(-22), ack(), *[neighbour() * 40] * 3, done(), ack(-19), ack(-5))
    yield bytes([5]) + datagrams(ack(-1), ack(-1))
    yield bytes([6]) + datagrams(*filters)
    yield bytes([6]) + datagrams(*[filters[0]] * 3, ack(-22))
    yield bytes([6]) + datagrams(tc(NEWTFILTER, classifier=b"bpf\0", name=b"no end"), 0xfff1)
    yield bytes([7]) + datagrams(tc(NEWTFILTER), qdisc, *filters * 3, qdisc * 70, done())
    yield bytes([7]) + datagrams(tc(NEWTFILTER), qdisc, *filters * 2, done(), qdisc, ack(-1))
    yield bytes([7]) + datagrams(tc(NEWTFILTER), qdisc, *filters * 2, ack(-1), qdisc, done())
    yield bytes([7]) + datagrams(ack(-2), tc(NEWQDISC, classifier=b"ingress\0", parent=CLSACT), ack(-22), ack(-1), ack(-5))
    yield bytes([7]) + datagrams(tc(NEWTFILTER, name=b"n" * 80), ack(-19), 0xfff1, filters[0], 0xfff3)
    yield bytes([8])


# ---- state ----

GOOD = """version: 1
fabric: {encryption: never}
sites: {dc: {}}
nodes:
  n1: {site: dc, underlay: 192.0.2.1}
  n2: {site: dc, underlay: 192.0.2.2}
  far: {site: dc, underlay: 192.0.2.3, foreign: true}
tenants:
  t: {vni: 1, networks: {n: {mode: l2, vni: 2, subnets: [10.0.0.0/24]}}}
ports:
  p1: {node: n1, interface: i1, network: t/n, mac: "02:00:00:00:00:01", addresses: [10.0.0.1]}
"""
PORTS = "ports:\n  p2: {node: n1, interface: i2, network: t/n, mac: \"02:00:00:00:00:02\"}\n"
HEAD = "# isthmusd 1 config={} text=0123456789abcdef name=/etc/isthmus/isthmus.yaml\n"


def state():
    hashed, plain = HEAD.format("0123456789abcdef"), HEAD.format("-")
    other = GOOD.replace("p1", "p3")
    many = GOOD.replace("  n1:", "  x:").replace("node: n1", "node: x") + ""
    crowd = many.replace("  n2:", "".join(f"  m{i}: {{site: dc, underlay: 192.0.2.{i + 20}}}\n" for i in range(12)) + "  n2:")
    foreign = GOOD.replace("192.0.2.1}", "192.0.2.1, foreign: true}").split("ports:")[0]
    for options in range(256):
        if options % 3 == 0 or options in (48, 112, 128, 160):
            yield bytes([options]) + "\0".join([GOOD, hashed + other, PORTS]).encode()
    for options in (0, 1, 8, 16, 17, 24, 48, 49, 56, 128, 129, 160):
        for parts in (["broken: [", hashed + GOOD, PORTS], [GOOD, plain + other, "ports: {p1: 1}\n"],
                      ["", hashed + "also broken", PORTS], [many, "no header\n", PORTS], [crowd, hashed, ""],
                      [foreign, "# isthmusd 1 \n", PORTS], [GOOD, hashed + GOOD, "nodes: {}\n"],
                      [GOOD, "# isthmusd 1 config=" + "f" * 40 + " text=1 name=x\n" + GOOD, PORTS],
                      [GOOD, "# isthmusd 1 config=1 text=1\n" + GOOD, PORTS],
                      [GOOD, hashed + "x" * 70000, PORTS + "\0hidden"], [many, hashed + GOOD, PORTS]):
            yield bytes([options]) + "\0".join(parts).encode()


# ---- adopt ----

PUT, BYTE, REMOVE, MOVE, END = 0, 1, 2, 3, 0xff
NODE, M_PORTS, NEXTHOPS, MACS, HOSTS, PREFIXES, MEMBERS, FLOODS, DROPS = range(9)


def flood(vni, kind, slot, value):
    return bytes([PUT, FLOODS]) + struct.pack("=IHH", vni, kind, slot) + u32(value)


def adopt():
    def case(*changes, options=0, which=0, later=()):
        return bytes([options, which]) + b"".join(changes) + bytes([END, 0]) + b"".join(later) + b"\0\0"

    yield case()
    drift = [bytes([how, m, element, offset, 0x40]) for how in (BYTE, MOVE) for m in range(9) for element in (0, 1)
             for offset in (0, 5)]
    yield from (case(d, options=option, later=[d]) for d in drift for option in (0, 1))
    yield from (case(bytes([REMOVE, m, e]), later=[bytes([REMOVE, m, e])]) for m in range(1, 8) for e in range(3))
    yield case(*drift, later=drift)
    yield from (case(options=option, which=w) for option in (4, 8, 16, 32) for w in range(9))
    yield from (case(*drift[:6], options=2, which=w) for w in range(0, 250, 3))
    yield from (case(options=64, which=w, later=drift[:9]) for w in range(0, 120, 4))
    full = [flood(5001, k, s, n) for k in range(4) for s, n in ((0, 4), (1, 1), (2, 4), (3, 4), (4, 0), (9, 1), (4097, 1))]
    yield case(*full, later=full)
    yield case(flood(5001, 0, 0, 0xffffffff), flood(5001, 0, 60000, 1), flood(5001, 0, 4096, 2), flood(7, 0, 0, 5))
    yield case(flood(5001, 1, 0, 2), flood(5001, 1, 2, 1), flood(5001, 1, 1, 0), flood(7, 2, 0, 0), flood(7, 3, 0, 1))
    twin = bytes([PUT, NEXTHOPS]) + u32(77) + bytes(72) + struct.pack("=Q", 201)
    lost = bytes([PUT, NEXTHOPS]) + u32(78) + b"\2\1" + bytes(70) + struct.pack("=Q", 999)
    hidden = bytes([PUT, NEXTHOPS]) + u32(79) + b"\2\1" + bytes(78)
    yield case(twin, lost, hidden, later=[twin, lost, hidden])
    host = bytes([PUT, HOSTS]) + u32(5000) + b"\1" * 16 + u32(0xfffffff0) + u32(5001) + bytes(8)
    mac = bytes([PUT, MACS]) + u32(5001) + b"\2\2\2\2\2\2\0\0" + u32(77)
    prefix = bytes([PUT, PREFIXES]) + u32(20) + u32(0) + bytes(16) + u32(1) + u32(0)
    yield case(host, mac, prefix, twin, later=[host, mac, prefix])
    yield case(options=1, later=[bytes([PUT, MACS]) + u32(i) + bytes(8) + u32(1) for i in range(60)])


# ---- api ----

PORT = "ports:\n  new1: {node: dc1, interface: web2, network: red/web, mac: \"02:00:00:00:00:09\", addresses: [10.0.1.19]}\n"
FABRIC = """version: 1
fabric: {encryption: never}
sites: {dc: {}}
nodes:
  dc1: {site: dc, underlay: 192.0.2.11}
  aws1: {site: dc, underlay: 198.51.100.21}
tenants:
  blue: {vni: 6000, networks: {web: {mode: l2, vni: 6001, subnets: [10.0.1.0/24]}, app: {mode: l3, subnets: [10.0.2.0/24]}}}
ports:
  web1: {node: dc1, interface: web2, network: blue/web, mac: "02:00:00:00:00:01", addresses: [10.0.1.11]}
  far1: {node: aws1, interface: x, network: blue/app, mac: "02:00:00:00:00:02", addresses: [10.0.2.12]}
"""
KINDS = ("sites", "nodes", "tenants", "networks", "ports", "macs", "hosts", "routes", "drops")
NAMES = {"sites": ["dc"], "nodes": ["dc1", "sw"], "tenants": ["red"], "networks": ["red/web", "red%2Fapp"],
         "ports": ["web1", "web2", "gone"], "macs": ["02:00:00:00:00:01", "red/web/02:00:00:00:00:02", "x"],
         "hosts": ["10.0.1.11", "red/10.0.1.12", "fd00:1::1"], "routes": ["10.0.1.0/24", "red/10.0.2.11", "red/10.0.2.0/24"],
         "drops": ["malformed", "none"], "schema": ["Port", "Status", "port"]}


def api():
    def request(method, target, body="", access=2, headers=""):
        return bytes([access]) + f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}".encode()

    for path in ("status", "version", "doctor", "config", "openapi.json", *KINDS):
        for access in range(3):
            yield request("GET", f"/v1/{path}", access=access)
    for kind in KINDS:
        yield request("GET", f"/v1/{kind}?stream=1", access=1)
        yield request("GET", f"/v1/{kind}?all&stream=true", access=1)
        yield request("GET", f"/v1/{kind}/?all=0")
        yield request("GET", f"/v1/{kind}/nobody%20%c3%a9%ff")
    for kind, names in NAMES.items():
        yield from (request("GET", f"/v1/{kind}/{name}") for name in names)
    yield request("GET", "/metrics")
    yield request("GET", "/metrics", headers="Accept: application/openmetrics-text; version=1.0.0\r\n")
    for target in ("/v1/nothing", "/v1/ports/%", "/v1/ports/%0g", "/v1/ports/%00", "", "*", "/v1/ports?x", "/v1/ports?all=y",
                   "/v1/ports?all=%zz", "/v1/ports?" + "all&" * 20, "/v1/ports#x", "/v1/statusx", "/v1/" + "x" * 300):
        yield request("GET", target)
    yield request("PUT", "/v1/ports")
    yield request("HEAD", "/v1/status")
    yield request("DELETE", "/v1/status")
    for access in range(3):
        yield request("POST", "/v1/apply?name=f", FABRIC, access)
        yield request("POST", "/v1/ports", PORT, access)
        yield request("DELETE", "/v1/ports/web1", access=access)
    yield request("POST", "/v1/apply?dry_run=1", FABRIC)
    yield request("POST", "/v1/apply?dry_run=true&name=a%20b%22", "version: 1\nfabric: {encryption: never")
    yield request("POST", "/v1/apply", FABRIC.replace("dc1", "other"))
    yield request("POST", "/v1/apply", FABRIC.replace("6001", "6000"))
    yield request("POST", "/v1/apply", FABRIC.replace("web2", "web1").replace("blue", "red"))
    yield request("POST", "/v1/apply", FABRIC.replace("interface: web2", "interface: u0"))
    yield request("POST", "/v1/apply?dryrun=1", FABRIC)
    yield request("POST", "/v1/apply", "")
    yield request("POST", "/v1/ports?dry_run", PORT)
    yield request("POST", "/v1/ports", PORT.replace("new1", "web1"))
    yield request("POST", "/v1/ports", PORT.replace("dc1", "aws1"))
    yield request("POST", "/v1/ports", FABRIC)
    yield request("DELETE", "/v1/ports/new1?dry_run=1")
    yield request("DELETE", "/v1/ports/new1")
    yield b"\2GET"
    yield b"\2GET /v1/status"


def write(folder, inputs):
    os.makedirs(folder, exist_ok=True)
    for number, data in enumerate(inputs):
        with open(os.path.join(folder, f"seed-{number:04}"), "wb") as f:
            f.write(data)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for make in (netlink, state, adopt, api, bgp_evpn, bgp_open, bgp_stream, bgp_update, wg_data, wg_handshake, wg_probe, wg_relay,
                 wg_segment):
        write(os.path.join(sys.argv[1], make.__name__), make())


if __name__ == "__main__":
    main()
