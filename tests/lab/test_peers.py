# SPDX-License-Identifier: Apache-2.0
"""Plain WireGuard peers: a laptop with wireguard-go, set up by what `isthmus peer config` prints.

    laptop 10.0.2.100, fd00:2::100                        r1, r2: red/app, l3       b1: blue/app, the same addresses
    wgl* -- l0 203.0.113.100 -- wan == dc1 (r1, b1), which has the peer
                                    == aws1 (r2); everything between the two is encrypted
"""
import contextlib
import json
import os
import pathlib
import pty
import re
import socket
import subprocess

import jsonschema
import pytest
from secured import tunnel

from lab.fabric import Fabric
from lab.host import Host, TcpFlows, UdpStream
from lab.netns import make_namespaces
from lab.node import binary
from lab.room import Lab
from lab.run import command, wait_until
from lab.wireguard import key_pair, stream

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADDRESSES = ["10.0.2.100", "fd00:2::100"]
PORT = "wg-laptop"
MTU = 1390  # what fits into the encrypted way to the other node


class Laptop(Host):
    """wireguard-go in a namespace beside the WAN's router, at .100 and .101 of its own network."""

    def __init__(self, lab, private):
        (ns,) = make_namespaces(lab.run, ["laptop"])
        super().__init__("laptop", ns, None, ADDRESSES, f"wgl{os.getpid() % 100000}")
        lab.wan.ip(f"""link add x-lap mtu 1500 type veth peer name l0 mtu 1500 netns {ns.full_name}
                       addr add 203.0.113.254/24 dev x-lap
                       link set x-lap up""")
        ns.ip("""addr add 203.0.113.100/24 dev l0
                 link set l0 up
                 route add default via 203.0.113.254""")
        self.private = private
        self.process = ns.spawn("wireguard-go", "-f", self.interface, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(f"/var/run/wireguard/{self.interface}.sock"), 10, "wireguard-go")

    def set_up(self, text, directory):
        """What wg-quick does with the file, step by step."""
        path = os.path.join(directory, f"{self.interface}.conf")
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        self.stripped = path + ".stripped"
        with open(self.stripped, "w") as f:
            f.write(command(["wg-quick", "strip", path]).stdout)
        self.ns.command("wg", "setconf", self.interface, self.stripped)
        values = dict(re.findall(r"^(\w+) = (.*)$", text, re.M))
        self.node_key = values["PublicKey"]
        for a in values["Address"].split(", "):
            self.ns.ip(f"addr add {a} dev {self.interface} {'nodad' if ':' in a else ''}")
        self.ns.ip(f"link set {self.interface} mtu {values['MTU']} up")
        for r in values["AllowedIPs"].split(", "):
            self.ns.ip(f"route add {r} dev {self.interface}")
        return values

    def forget(self):
        """All its sessions: it begins one with the next packet."""
        self.ns.command("wg", "set", self.interface, "peer", self.node_key, "remove")
        self.ns.command("wg", "setconf", self.interface, self.stripped)

    def roam(self):
        self.ns.command("wg", "set", self.interface, "listen-port", 40002)


def make_fabric(private_keys, laptop):
    f = Fabric(encryption="between-sites")
    for name, site in (("dc1", "dc"), ("aws1", "aws")):
        f.node(name, site, public_key=private_keys[name][1])
    for n, tenant in enumerate(("red", "blue")):
        f.tenant(tenant, 5000 + n)
        f.network(f"{tenant}/app", "l3", subnets=["10.0.2.0/24", "fd00:2::/64"], gateway=["10.0.2.1", "fd00:2::1"])
    f.port("r1", "dc1", "red/app", ["10.0.2.11", "fd00:2::11"])
    f.port("r2", "aws1", "red/app", ["10.0.2.12", "fd00:2::12"])
    f.port("b1", "dc1", "blue/app", ["10.0.2.13", "fd00:2::13"])
    f.config["peers"] = {"laptop": {"node": "dc1", "network": "red/app", "public_key": laptop[1], "addresses": ADDRESSES}}
    return f


class PeersLab(Lab):
    def __init__(self):
        self.keys = {n: key_pair() for n in ("dc1", "aws1")}
        self.laptop_keys = key_pair()
        super().__init__(make_fabric(self.keys, self.laptop_keys), start=False)

    def __enter__(self):
        super().__enter__()
        try:
            for name, n in self.nodes.items():
                path = os.path.join(n.daemon.state_dir, "private.key")
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                    f.write(self.keys[name][0] + "\n")
            self.start()
            self.dc1, self.aws1 = self.node("dc1"), self.node("aws1")
            self.laptop = Laptop(self, self.laptop_keys[0])
            self.values = self.laptop.set_up(self.peer_config("--private-key", "-", input=self.laptop_keys[0]), self.run.directory)
            self.wait_up()
        except BaseException:
            self.close()
            raise
        return self

    def peer_config(self, *options, node="dc1", **more):
        return self.node(node).isthmus("peer", "config", "laptop", *options, **more).stdout

    def wait_up(self, timeout=20):
        wait_until(lambda: tunnel(self.dc1, "laptop")["state"] == "up", timeout, "a session with the laptop")

    def port(self):
        return self.dc1.isthmus("get", "ports", "laptop", json_output=True)

    def drops(self):
        return {d["name"]: d["packets"] for d in tunnel(self.dc1, "laptop")["dropsByName"]}


@pytest.fixture(scope="module")
def lab():
    with PeersLab() as lab:
        yield lab


def test_it_is_a_workload_like_any(lab):
    laptop, r1, r2 = lab.laptop, lab.host("r1"), lab.host("r2")
    assert lab.values["AllowedIPs"] == "10.0.2.0/24, fd00:2::/64" and lab.values["MTU"] == str(MTU)
    for there in (r1, r2):
        for v6 in (False, True):
            laptop.ping(there.address(v6), timeout=10)
            there.ping(laptop.address(v6), timeout=10)
    laptop.ping("10.0.2.1")
    stream(laptop.ns, r2.ns, "10.0.2.12")
    stream(r2.ns, laptop.ns, "fd00:2::100")
    port = next(p for p in lab.aws1.get("ports") if p["name"] == "laptop")
    assert port["node"] == "dc1" and port["interface"] == PORT and port["addresses"] == ADDRESSES
    mine = lab.port()
    assert mine["state"] == "up" and mine["mtu"] == MTU and mine["rxPackets"] > 100 and mine["txPackets"] > 100
    seen = tunnel(lab.dc1, "laptop")
    assert seen["plain"] and seen["endpoint"].startswith("203.0.113.100:") and seen["mtu"] == MTU
    assert seen["rxBytes"] > 4e6 and seen["txBytes"] > 4e6 and lab.drops() == {}
    assert [t["name"] for t in lab.aws1.get("tunnels")] == ["dc1"]
    assert lab.dc1.metrics()['isthmus_tunnel_up{peer="laptop"}'] == 1


def test_super_packets_come_whole_to_the_node_and_leave_cut(lab):
    """The port's device counts packets as the kernel has them, far fewer than on the wire."""
    before = lab.port()
    stream(lab.host("r1").ns, lab.laptop.ns, "10.0.2.100")
    after = lab.port()
    packets, size = (after[what] - before[what] for what in ("txPackets", "txBytes"))
    assert size > 4e6 and size / packets > 1.5 * MTU


def test_others_are_out_of_reach(lab):
    b1, before = lab.host("b1"), lab.dc1.drops()
    assert not lab.laptop.ping("10.0.2.13", check=False, timeout=1)
    assert not b1.ping("10.0.2.100", check=False, timeout=1)
    assert sum(lab.dc1.drops().values()) > sum(before.values())
    lab.laptop.ping("10.0.2.11")


def test_it_speaks_for_itself_alone(lab):
    laptop = lab.laptop
    laptop.ns.ip(f"""addr add 10.0.2.77/32 dev {laptop.interface}
                     addr add fd00:2::77/128 dev {laptop.interface} nodad""")
    before = lab.drops().get("wrong_source", 0)
    for own, there in (("10.0.2.77", "10.0.2.11"), ("fd00:2::77", "fd00:2::11"), ("203.0.113.100", "10.0.2.11")):
        with laptop.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((own, 0))
            s.sendto(b"x", (there, 7))
            s.sendto(b"x", (there, 7))
    wait_until(lambda: lab.drops().get("wrong_source", 0) == before + 6, 5, "wrong_source, by name")
    laptop.ping("10.0.2.11")


def test_nobody_else_on_the_node_has_its_port(lab):
    dc1 = lab.dc1
    before = dc1.drops()["not_ours"]
    with dc1.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # bound to the device, as any user may
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, PORT.encode())
        for _ in range(3):
            s.sendto(b"x", ("10.0.2.100", 7))
    wait_until(lambda: dc1.drops()["not_ours"] == before + 3, 5, "not_ours, by name")
    take = (f"import fcntl, os, struct; f = os.open('/dev/net/tun', os.O_RDWR); "
            f"fcntl.ioctl(f, 0x400454ca, struct.pack('16sH22x', b'{PORT}', 0x5002))")
    taken = dc1.ns.command("/usr/bin/python3", "-c", take, check=False)
    assert taken.returncode and "busy" in taken.stderr.lower(), taken.stderr
    lab.laptop.ping("10.0.2.11")


def test_it_roams(lab):
    with_traffic = UdpStream(lab.laptop, lab.host("r2"), 200)
    with_traffic.wait_flowing()
    lab.laptop.roam()
    wait_until(lambda: tunnel(lab.dc1, "laptop")["endpoint"] == "203.0.113.100:40002", 20, "its new place")
    with_traffic.wait_flowing()
    with_traffic.stop()
    lab.host("r2").ping("10.0.2.100", timeout=5)


def test_the_daemon_restarts(lab):
    flows = TcpFlows(lab.laptop, lab.host("r1"), count=2)
    endpoint = tunnel(lab.dc1, "laptop")["endpoint"].replace(":", " ")

    def noted():
        with open(os.path.join(lab.dc1.daemon.state_dir, "peers.last")) as f:
            return f.read() == f"{lab.laptop_keys[1]} {endpoint}\n"

    wait_until(noted, 10, "its place in the state directory")
    ifindex = lab.dc1.ns.link(PORT)["ifindex"]
    lab.dc1.daemon.kill9()
    assert "the daemon is not running" in lab.dc1.isthmus("get", "tunnels", "laptop", "-o", "json", check=False).stdout
    offline = lab.dc1.isthmus("peer", "config", "laptop", check=False)
    assert offline.returncode == 3 and "AllowedIPs = 10.0.2.0/24, fd00:2::/64" in offline.stdout
    lab.dc1.daemon.start()  # which knows where the laptop was; left alone, that would notice after 15 s
    lab.wait_up(10)
    flows.wait_flowing(timeout=60)
    flows.stop()
    assert lab.dc1.ns.link(PORT)["ifindex"] == ifindex, "the port is the one that it was"


def test_the_device_is_taken_away(lab):
    for change in (f"link del {PORT}", f"link set {PORT} down", f"link set {PORT} mtu 1300"):
        lab.dc1.ns.ip(change)

        def whole():
            link = lab.dc1.ns.link(PORT)
            return link and "UP" in link["flags"] and link["mtu"] == MTU

        wait_until(whole, 5, f"the device as it was after {change}")
        wait_until(lambda: lab.laptop.ping("10.0.2.11", check=False, timeout=1), 10, f"traffic after {change}")


def test_it_comes_and_goes_under_traffic(lab):
    peers = lab.fabric.config["peers"]
    with_traffic = UdpStream(lab.host("r1"), lab.laptop, 200)
    with_traffic.wait_flowing(10)
    gone = peers.pop("laptop")
    lab.apply()
    wait_until(lambda: not lab.dc1.ns.link(PORT), 5, "no device any more")
    assert [t["name"] for t in lab.dc1.get("tunnels")] == ["aws1"]
    assert not lab.laptop.ping("10.0.2.11", check=False, timeout=1)
    peers["laptop"] = gone
    lab.apply()
    wait_until(lambda: lab.port()["state"] == "up", 10, "its port")
    lab.laptop.forget()
    lab.laptop.ping("10.0.2.1", timeout=20)
    with_traffic.wait_flowing(10, 30)
    with_traffic.stop()


def test_what_peer_config_says(lab):
    text = lab.peer_config(node="aws1")
    assert f"PublicKey = {lab.keys['dc1'][1]}" in text and "Endpoint = 198.18.1.11:51820" in text
    assert "PersistentKeepalive = 25" in text and "\nPostUp = wg set %i private-key /etc/wireguard/laptop.key\n" in text
    path = os.path.join(lab.run.directory, "wg-text.conf")
    with open(path, "w") as f:
        f.write(text)
    assert "PostUp" not in command(["wg-quick", "strip", path]).stdout
    for given, meant in (("vpn.example.org", "vpn.example.org:51820"), ("203.0.113.7:1", "203.0.113.7:1"),
                         ("2001:db8::7", "[2001:db8::7]:51820"), ("[2001:db8::7]:5", "[2001:db8::7]:5")):
        assert f"\nEndpoint = {meant}\n" in lab.peer_config("--endpoint", given)
    for wrong in ("", ":1", "a b", "host:0", "host:65536", "host:x", "[::1", "[::1]x", "[10.0.0.1]:5", "::1:"):
        refused = lab.dc1.isthmus("peer", "config", "laptop", "--endpoint", wrong, check=False)
        assert refused.returncode == 2 and "IST-6003" in refused.stderr, wrong
    other = lab.dc1.isthmus("peer", "config", "laptop", "--private-key", "-", input=key_pair()[0] + "\n", check=False)
    assert other.returncode == 2 and "IST-6015" in other.stderr and not other.stdout
    assert "IST-4041" in lab.dc1.isthmus("peer", "config", "nobody", check=False).stderr


def in_terminal(lab, *argv):
    """What the command writes when its standard output is a terminal; standard input is the private key."""
    master, slave = pty.openpty()
    p = subprocess.Popen([binary("isthmus"), *lab.dc1.daemon.directories(), *argv], stdin=subprocess.PIPE, stdout=slave,
                         stderr=slave, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
    os.close(slave)
    p.stdin.write(lab.laptop_keys[0].encode())
    p.stdin.close()
    out = b""
    with contextlib.suppress(OSError):
        while piece := os.read(master, 65536):
            out += piece
    os.close(master)
    assert p.wait(10) == 0
    return out.decode().replace("\r", "")


def test_a_phone_reads_the_code(lab):
    text, blank, drawing = in_terminal(lab, "peer", "config", "laptop", "--private-key", "-").rpartition("\n\n\033")
    assert blank and text == lab.peer_config("--private-key", "-", input=lab.laptop_keys[0]).rstrip("\n")
    lines = [re.sub("\033?\\[[0-9;]*m", "", line) for line in drawing.splitlines()]
    light = {"\u2588": (1, 1), "\u2580": (1, 0), "\u2584": (0, 1), " ": (0, 0)}
    rows = [[light[c][half] for c in line] for line in lines for half in (0, 1)]
    assert len(set(map(len, rows))) == 1
    image = os.path.join(lab.run.directory, "code.pgm")
    with open(image, "wb") as f:  # eight points a module
        f.write(b"P5 %d %d 255\n" % (8 * len(rows[0]), 8 * len(rows)))
        f.write(b"".join(bytes(255 * v for v in row for _ in range(8)) * 8 for row in rows))
    assert command(["zbarimg", "-q", "--raw", image]).stdout.strip() == text.strip()


def test_without_the_private_key_there_is_no_code(lab):
    out = in_terminal(lab, "peer", "config", "laptop")
    assert "\u2588" not in out and "a QR code" in out


def test_teardown_takes_the_device_with_it(lab):
    assert lab.dc1.ns.link(PORT)
    assert lab.dc1.daemon.stop() == 0 and lab.dc1.ns.link(PORT)
    assert lab.dc1.daemon.teardown().returncode == 0 and not lab.dc1.ns.link(PORT)
    lab.dc1.daemon.start()
    wait_until(lambda: lab.port()["state"] == "up", 10, "its port")
    lab.wait_up()


def test_what_is_shown_is_what_the_schemas_say(lab):
    for kind, seen in (("Tunnel", tunnel(lab.dc1, "laptop")),
                       ("Peer", lab.dc1.isthmus("peer", "config", "laptop", json_output=True))):
        schema = json.loads((ROOT / "doc" / "schema" / f"{kind}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(seen)
        assert set(seen) == set(schema["properties"])
