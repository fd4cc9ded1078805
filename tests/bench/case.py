# SPDX-License-Identifier: Apache-2.0
"""The paths that are compared: two nodes on one cable with a workload each, joined in different ways.

    a (eth0, MTU 1450) ---- left (up0) ======== the wire ======== right (up0) ---- b (eth0, MTU 1450)

Everything is a veth in a network namespace.  All settings but the path itself are the same for all of them: MTU 1450
inside and 1500 on the wire (1520 where the underlay is IPv6, whose header is 20 bytes longer, 1560 where it is
encrypted), segmentation offloads on at the workloads, no bridge netfilter (as on a machine where nothing has loaded
br_netfilter; a kernel with it built in has it on, and a bridge is slower then), no firewall rules, nobody bound to a CPU
by us but the ends of the UDP probes.

The wire is one of two.  whole: the veth as it is, super-packets cross it in one piece.  cut: no segmentation offload at
the nodes' wire side and GRO on there, as a network card without any offload: only packets of the wire's MTU cross.
"""
import contextlib
import os
import shutil
import signal
import subprocess

from lab import packet
from lab.fabric import Fabric
from lab.peer import KernelPeer, OvsPeer
from lab.room import Lab
from lab.run import LabError, command, wait_until
from lab.wireguard import PORT, Tunnel, key_pair

WIRES = ("whole", "cut")
SEALED_MTU = 1560  # of the wire under what encrypts: the packets inside stay the same
AROUND = 80  # what any of those that are compared puts around a packet, and less
OPENVPN = """--dev tun0 --dev-type tun --proto udp --port 1194 --data-ciphers AES-256-GCM --mssfix 0 --fast-io
             --sndbuf 4194304 --rcvbuf 4194304 --txqueuelen 1000 --verb 1"""
V4_ONLY = ("plain-route", "ovs-vxlan", "tunnel-aes", "tunnel-chacha", "wireguard-go", "openvpn")
SUITE_WIREGUARD, SUITE_ISTHMUS = 0, 1
CUT = "tso gso tx-gso-list tx-udp-segmentation tx-udp_tnl-segmentation tx-udp_tnl-csum-segmentation".split()


class Rig:
    """One path, standing: workloads a and b, and between them left and right."""

    def __init__(self, lab, mtu):
        self.lab, self.mtu = lab, mtu  # of the wire
        self.a, self.b = lab.host("a"), lab.host("b")
        self.left, self.right = lab.machines().values()
        self.daemons = [n.daemon.process for n in lab.nodes.values()]
        self.server = self.b.ns.spawn("iperf3", "-s", stdout=-3, stderr=-3)
        wait_until(lambda: ":5201 " in self.b.command("ss", "-Hltn").stdout, 5, "iperf3 listening")

    @contextlib.contextmanager
    def awake(self):
        """Daemons keep house only while their own rig is measured: what those of the others do is not its price."""
        for p in self.daemons:
            p.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.sleep()

    def sleep(self):
        for p in self.daemons:
            p.send_signal(signal.SIGSTOP)

    def wire_counters(self):
        """(frames, bytes) that have reached the right node."""
        rx = self.right.ns.link("up0")["stats64"]["rx"]
        return rx["packets"], rx["bytes"]


def fabric(mode="l2", foreign=True, families=(4,), encap="vxlan", encryption="never"):
    f = Fabric(families=families, encap=encap, encryption=encryption)
    for node in ("left", "right"):
        f.node(node, "dc", foreign=foreign)
    f.tenant("red", 5000)
    vni = {"vni": 5001} if mode == "l2" else {}
    f.network("red/web", mode, subnets=["10.0.1.0/24", "fd00:1::/64"], gateway=["10.0.1.1", "fd00:1::1"], **vni)
    for name, node, n in (("a", "left", 11), ("b", "right", 12)):
        f.port(name, node, "red/web", [f"10.0.1.{n}", f"fd00:1::{n}"], rig={"mtu": 1450})
    return f


def pair(stack, wire, f, kind=KernelPeer, mtu=1500):
    """The lab with its wire as asked for, before anything runs on it."""
    lab = stack.enter_context(Lab(f, {"left": kind, "right": kind}, mtu, cable=True, start=False))
    for host in lab.hosts.values():
        # Bursts of small packets are cut to single ones at the workload's own port.
        host.command("ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
    for machine in lab.machines().values():
        if wire == "cut":
            machine.ns.command("ethtool", "-K", "up0", *(w for c in CUT for w in (c, "off")), "gro", "on")
        with contextlib.suppress(OSError):  # no bridge netfilter in this kernel, or not loaded
            for table in ("arp", "ip", "ip6"):
                machine.ns.write_sysctl(f"net/bridge/bridge-nf-call-{table}tables", 0)
    return lab


def plain_bridge(stack, wire):
    lab = pair(stack, wire, fabric())
    for machine, port in zip(lab.machines().values(), ("a", "b")):
        machine.ns.ip(
            f"""
            addr flush dev up0
            link add br0 type bridge stp_state 0 mcast_snooping 0
            link set dev up0 master br0
            link set dev {port} master br0
            link set br0 up"""
        )
    return Rig(lab, 1500)


def routed(lab, way):
    """A subnet at each side, and a node as its router; way(here, there): how it sends to the other one."""
    left, right = lab.machines().values()
    for here, there, port, subnet, far in ((left, right, "a", 1, 2), (right, left, "b", 2, 1)):
        here.ns.write_sysctl("net/ipv4/ip_forward", 1)
        here.ns.ip(
            f"""
            addr add 10.0.{subnet}.1/24 dev {port}
            route add 10.0.{far}.0/24 {way(here, there)}"""
        )
        host = lab.host(port)
        host.addresses = [f"10.0.{subnet}.11"]
        host.ns.ip(
            f"""
            addr flush dev eth0
            addr add 10.0.{subnet}.11/24 dev eth0
            route add default via 10.0.{subnet}.1"""
        )


def plain_route(stack, wire):
    lab = pair(stack, wire, fabric())
    routed(lab, lambda here, there: f"via {there.underlay[0]} dev up0 onlink")
    return Rig(lab, 1500)


def join_both(lab):
    left, right = lab.machines().values()
    for here, there, port, other in ((left, right, "a", "b"), (right, left, "b", "a")):
        yield here, there, port, lab.host(other).mac


def kernel_vxlan(stack, wire):
    """Addresses of the other side given, nothing learned over the wire; no UDP checksum (the default)."""
    lab = pair(stack, wire, fabric())
    for here, there, port, mac in join_both(lab):
        here.join(5001, [port], here.underlay[0], there.underlay, macs={mac: there.underlay[0]})
    return Rig(lab, 1500)


def ovs_vxlan(stack, wire):
    """Userspace datapath.  Its AF_PACKET ports take neither super-packets nor unfinished checksums: workloads have both
    off.
    """
    if not shutil.which("ovs-vswitchd"):
        raise LabError("Open vSwitch is not installed (openvswitch-switch)")
    lab = pair(stack, wire, fabric(), OvsPeer)
    for here, there, port, _ in join_both(lab):
        here.join(5001, [port], here.underlay[0], there.underlay)
    return Rig(lab, 1500)


def isthmus(mode, underlay, encap="vxlan"):
    def build(stack, wire):
        mtu = 1520 if underlay == (6,) else 1500
        lab = pair(stack, wire, fabric(mode, foreign=False, families=underlay, encap=encap), mtu=mtu)
        lab.start()
        return Rig(lab, mtu)

    return build


def encrypted(stack, wire):
    """As isthmus-l2, and everything is sealed on its way."""
    lab = pair(stack, wire, fabric(foreign=False, encryption="always"), mtu=SEALED_MTU)
    lab.start(wait_up=False)
    for name, node in lab.nodes.items():
        lab.fabric.config["nodes"][name]["public_key"] = node.isthmus("key", "show").stdout.strip()
    lab.apply()
    return Rig(lab, SEALED_MTU)


def through(machine, device):
    machine.ns.ip(f"link set {device} mtu {SEALED_MTU - AROUND} up")
    return f"dev {device}"


def tunnel(suite):
    """src/wg by itself: no BPF and no VXLAN, the kernel routes into its device."""

    def build(stack, wire):
        lab = pair(stack, wire, fabric(), mtu=SEALED_MTU)
        left, right = lab.machines().values()
        ends = {m: Tunnel(m.ns, key_pair()[0], 2, SEALED_MTU - AROUND) for m in (left, right)}
        ends[left].peer(ends[right].public, ["10.0.2.11"], (right.underlay[0], PORT), suite)
        ends[right].peer(ends[left].public, ["10.0.1.11"], (left.underlay[0], PORT), suite)
        routed(lab, lambda here, there: through(here, "sec0"))
        return Rig(lab, SEALED_MTU)

    return build


def quietly(machine, *argv):
    machine.ns.spawn(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wireguard_go(stack, wire):
    lab = pair(stack, wire, fabric(), mtu=SEALED_MTU)
    keys = {m: key_pair() for m in lab.machines().values()}

    def way(here, there):
        name = f"wgb{os.getpid() % 100000}{here.name[0]}"  # its socket is in the file system that all share
        private = os.path.join(lab.run.directory, name)
        with open(private, "w") as f:
            f.write(keys[here][0])
        quietly(here, "wireguard-go", "-f", name)
        wait_until(lambda: os.path.exists(f"/var/run/wireguard/{name}.sock"), 10, "wireguard-go")
        here.ns.command("wg", "set", name, "listen-port", PORT, "private-key", private, "peer", keys[there][1],
                        "endpoint", f"{there.underlay[0]}:{PORT}", "allowed-ips", "10.0.0.0/16")
        return through(here, name)

    routed(lab, way)
    return Rig(lab, SEALED_MTU)


def certificate(lab, machine):
    """A key and a certificate for it, each a file; and its fingerprint."""
    key, own = (os.path.join(lab.run.directory, f"{machine.name}.{end}") for end in ("key", "crt"))
    command(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={machine.name}", "-days", "2", "-keyout", key, "-out", own])
    shown = command(["openssl", "x509", "-in", own, "-noout", "-fingerprint", "-sha256"]).stdout
    return key, own, shown.strip().split("=")[1]


def openvpn(stack, wire):
    """AES-256-GCM, keys by TLS between pinned certificates."""
    if not shutil.which("openvpn"):
        raise LabError("OpenVPN is not installed (openvpn)")
    lab = pair(stack, wire, fabric(), mtu=SEALED_MTU)
    pinned = {m: certificate(lab, m) for m in lab.machines().values()}

    def way(here, there):
        key, own, _ = pinned[here]
        role = "--tls-server --dh none" if here.name == "left" else "--tls-client"
        quietly(here, "openvpn", *OPENVPN.split(), *role.split(), "--local", here.underlay[0], "--remote",
                there.underlay[0], "--key", key, "--cert", own, "--peer-fingerprint", pinned[there][2],
                "--tun-mtu", SEALED_MTU - AROUND)
        wait_until(lambda: not here.ns.command("ip", "link", "show", "tun0", check=False).returncode, 10, "openvpn")
        return through(here, "tun0")

    routed(lab, way)
    return Rig(lab, SEALED_MTU)


class Case:
    def __init__(self, name, rig, plain, what, v6=False):
        self.name, self.rig, self.plain, self.what = name, rig, plain, what
        self.v6 = v6  # inside

    def target(self, rig):
        return rig.b.address(self.v6)


# Cases that differ only in what runs inside share a rig.
RIGS = {
    "plain-route": plain_route,
    "plain-bridge": plain_bridge,
    "kernel-vxlan": kernel_vxlan,
    "ovs-vxlan": ovs_vxlan,
    "isthmus-l2": isthmus("l2", (4,)),
    "isthmus-l3": isthmus("l3", (4,)),
    "native": isthmus("l3", (4, 6), "none"),
    "isthmus-l2-underlay6": isthmus("l2", (6,)),
    "isthmus-l3-underlay6": isthmus("l3", (6,)),
    "isthmus-aes": encrypted,
    "tunnel-aes": tunnel(SUITE_ISTHMUS),
    "tunnel-chacha": tunnel(SUITE_WIREGUARD),
    "wireguard-go": wireguard_go,
    "openvpn": openvpn,
}
CASES = [
    Case("plain-route", "plain-route", "plain-route", "nodes route, no tunnel"),
    Case("plain-bridge", "plain-bridge", "plain-bridge", "nodes bridge, no tunnel"),
    Case("kernel-vxlan", "kernel-vxlan", "plain-bridge", "the kernel's VXLAN device and a bridge"),
    Case("ovs-vxlan", "ovs-vxlan", "plain-bridge", "Open vSwitch, userspace datapath, VXLAN"),
    Case("isthmus-l2", "isthmus-l2", "plain-bridge", "Isthmus, l2 network, VXLAN"),
    Case("isthmus-l3", "isthmus-l3", "plain-route", "Isthmus, l3 network, VXLAN"),
    Case("native", "native", "plain-route", "Isthmus, l3 network, no encapsulation"),
    Case("isthmus-l2-inside6", "isthmus-l2", "plain-bridge", "the same, IPv6 inside", v6=True),
    Case("isthmus-l3-inside6", "isthmus-l3", "plain-route", "the same, IPv6 inside", v6=True),
    Case("isthmus-l2-underlay6", "isthmus-l2-underlay6", "plain-bridge", "the same, IPv6 underlay"),
    Case("isthmus-l3-underlay6", "isthmus-l3-underlay6", "plain-route", "the same, IPv6 underlay"),
    Case("isthmus-aes", "isthmus-aes", "plain-bridge", "Isthmus, l2 network, VXLAN in WireGuard with AES-256-GCM"),
    Case("tunnel-aes", "tunnel-aes", "plain-route", "Isthmus' tunnel alone, AES-256-GCM"),
    Case("tunnel-chacha", "tunnel-chacha", "plain-route", "Isthmus' tunnel alone, ChaCha20-Poly1305"),
    Case("wireguard-go", "wireguard-go", "plain-route", "wireguard-go, Debian's"),
    Case("openvpn", "openvpn", "plain-route", "OpenVPN, AES-256-GCM"),
]


def raise_rig(stack, name, wire):
    """The standing rig, every address of b answering."""
    with contextlib.ExitStack() as own:
        rig = RIGS[name](own, wire)
        for address in rig.b.addresses:
            if packet.is_v6(address) and name in V4_ONLY:
                continue  # no case asks for it
            wait_until(lambda address=address: rig.a.ping(address, check=False, timeout=1), 10, f"{name}: {address}")
        stack.push(own.pop_all())
    return rig
