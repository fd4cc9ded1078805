# SPDX-License-Identifier: Apache-2.0
"""The room that a fabric stands in: sites with a switch each, a WAN router between them, nodes, workloads, cables.

        dc1 ---.                                    .--- aws1        one namespace each: nodes, peers, workloads
        dc2 ---+-- sw-dc == wan router == sw-aws ---+--- aws2    one namespace "wan": a bridge per site, and routes between
         |                                                |
        hosts (veth or tap, eth0 inside)                 hosts

Underlay: 198.18.<site>.0/24 and 2001:db8:<site>::/64, the router is .254 and ::fe.  With cable=True the fabric's two
nodes are joined by one veth instead, as a wire for measurements.
"""
import fcntl
import os
import selectors
import socket
import struct
import threading

from lab import packet
from lab.capture import Tap
from lab.host import Host
from lab.netns import Namespace, make_namespaces
from lab.node import Node
from lab.peer import KernelPeer, OvsPeer, plain
from lab.run import LabError, Run, command, handle_signals, wait_until

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


class TapCable:
    """What QEMU does: holds the tap of a port open, and carries frames between it and the workload's own device."""

    def __init__(self, node_ns, name, host_ns):
        self._fds = []
        for ns, interface in ((node_ns, name), (host_ns, "eth0")):
            with ns:
                fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
            self._fds.append(fd)
        self._stop_r, self._stop_w = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self):
        a, b = self._fds
        with selectors.DefaultSelector() as s:
            s.register(a, selectors.EVENT_READ, b)
            s.register(b, selectors.EVENT_READ, a)
            s.register(self._stop_r, selectors.EVENT_READ, None)
            while True:
                for key, _ in s.select():
                    if key.data is None:
                        return
                    try:
                        os.write(key.data, os.read(key.fd, 65536))
                    except OSError:  # one of the two is down: the frame is lost, as on a pulled cable
                        pass

    def close(self):
        """Like the end of the virtual machine: both interfaces vanish."""
        if self._fds:
            os.write(self._stop_w, b"x")
            self._thread.join()
            for fd in (*self._fds, self._stop_r, self._stop_w):
                os.close(fd)
            self._fds = []


class Lab:
    def __init__(self, fabric, peers=None, underlay_mtu=1500, cable=False, start=True, hosts=True, keep=False):
        """peers: {foreign node: KernelPeer or OvsPeer class}.  start: the daemons too.  hosts: the workloads too.
        keep: it may be left standing by leave()."""
        handle_signals()
        self.fabric, self.run = fabric, Run(keep)
        self._peer_kinds, self._mtu, self._cable = peers or {}, underlay_mtu, cable
        self._start, self._hosts = start, hosts
        self.nodes, self.peers, self.hosts, self._cables, self.wan = {}, {}, {}, {}, None

    # ---- life

    def __enter__(self):
        try:
            self.build()
            if self._start:
                self.start()
        except BaseException:
            self.run.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.run.close()

    def node(self, name):
        return self.nodes[name]

    def host(self, name):
        return self.hosts[name]

    # ---- building

    def build(self):
        config = self.fabric.config
        own = [n for n, c in config["nodes"].items() if not c.get("foreign")]
        foreign = [n for n in config["nodes"] if n not in own and n in self._peer_kinds]
        plugged = [
            r.port
            for r in self.fabric.rigs.values()
            if self._hosts and r.plugged and config["ports"][r.port]["node"] in own + foreign
        ]
        names = ["wan", *(f"n-{n}" for n in own + foreign), *(f"h-{p}" for p in plugged)]
        spaces = {ns.name: ns for ns in make_namespaces(self.run, names)}
        self.wan = spaces["wan"]
        for n in own:
            self.nodes[n] = Node(n, self.run, spaces[f"n-{n}"], config["nodes"][n]["underlay"])
        for n in foreign:
            self.peers[n] = self._peer_kinds[n](n, self.run, spaces[f"n-{n}"], config["nodes"][n]["underlay"])
        if self._cable:
            self._build_cable()
        else:
            self._build_wan()
        for p in plugged:
            self._plug(p, spaces[f"h-{p}"])
        for n in foreign:
            if isinstance(self.peers[n], OvsPeer):
                plain(self.wan, f"w-{n}")
                for p in plugged:
                    if config["ports"][p]["node"] == n:
                        plain(self.hosts[p].ns, "eth0")
                self.peers[n].start(self.router(n, 4))

    def machines(self):
        return {**self.nodes, **self.peers}

    def site_number(self, node):
        return list(self.fabric.config["sites"]).index(self.fabric.config["nodes"][node]["site"]) + 1

    def router(self, node, family):
        return {4: f"198.18.{self.site_number(node)}.254", 6: f"2001:db8:{self.site_number(node)}::fe"}[family]

    def _build_wan(self):
        mtu = self._mtu
        lines = []
        for i, site in enumerate(self.fabric.config["sites"], 1):
            lines += [
                f"link add sw-{site} type bridge stp_state 0 mcast_snooping 0",
                f"link set sw-{site} mtu {mtu} up",
                f"addr add 198.18.{i}.254/24 dev sw-{site}",
                f"addr add 2001:db8:{i}::fe/64 dev sw-{site} nodad",
            ]
        for name, machine in self.machines().items():
            site = self.fabric.config["nodes"][name]["site"]
            lines += [
                f"link add w-{name} mtu {mtu} type veth peer name up0 mtu {mtu} netns {machine.ns.full_name}",
                f"link set w-{name} master sw-{site} up",
            ]
        self.wan.ip("\n".join(lines))
        self.wan.write_sysctl("net/ipv4/ip_forward", 1)
        self.wan.write_sysctl("net/ipv6/conf/all/forwarding", 1)
        for name, machine in self.machines().items():
            lines = ["link set up0 up"]
            for a in machine.underlay:
                family = 6 if packet.is_v6(a) else 4
                lines += [
                    f"addr add {a}/{64 if family == 6 else 24} dev up0 {'nodad' if family == 6 else ''}",
                    f"route add default via {self.router(name, family)}",
                ]
            machine.ns.ip("\n".join(lines))

    def _build_cable(self):
        (a, b) = self.machines().values()
        a.ns.ip(f"link add up0 mtu {self._mtu} type veth peer name up0 mtu {self._mtu} netns {b.ns.full_name}")
        for machine, other in ((a, b), (b, a)):
            lines = ["link set up0 up"]
            for here, there in zip(machine.underlay, other.underlay):
                v6 = packet.is_v6(here)
                bits = 128 if v6 else 32
                lines += [
                    f"addr add {here}/{bits} dev up0 {'nodad' if v6 else ''}",
                    f"route add {there}/{bits} dev up0",
                ]
            machine.ns.ip("\n".join(lines))

    # ---- workloads

    def _plug(self, port, host_ns):
        config, rig = self.fabric.config["ports"][port], self.fabric.rigs[port]
        machine = self.machines()[config["node"]]
        interface = config.get("interface", port[:15])
        if rig.kind == "tap":
            self._cables[port] = TapCable(machine.ns, interface, host_ns)
            self.run.on_close(self._cables[port].close)
            machine.ns.ip(f"link set dev {interface} mtu {rig.mtu} up")
            host_ns.ip(f"link set eth0 address {config['mac']} mtu {rig.mtu}")
        else:
            machine.ns.ip(
                f"link add name {interface} mtu {rig.mtu} type veth "
                f"peer name eth0 mtu {rig.mtu} address {config['mac']} "
                f"netns {host_ns.full_name}\nlink set dev {interface} up"
            )
        host = self.hosts[port] = Host(port, host_ns, config["mac"], config.get("addresses", []))
        host_ns.ip("link set eth0 up\n" + self.host_routes(port))
        return host

    def host_routes(self, port):
        """The `ip` lines that give a workload its addresses and routes."""
        rig, lines = self.fabric.rigs[port], []
        for address, length in self.fabric.prefix_length(port).items():
            if rig.routes == "onlink":
                length = 128 if packet.is_v6(address) else 32
            lines.append(f"addr add {address}/{length} dev eth0 {'nodad' if packet.is_v6(address) else ''}")
        has = {packet.is_v6(a) for a in self.fabric.config["ports"][port].get("addresses", [])}
        for gateway in self.fabric.gateways(port):
            if packet.is_v6(gateway) in has:
                if rig.routes == "onlink":
                    lines.append(f"route add {gateway} dev eth0")
                lines.append(f"route add default via {gateway} dev eth0 onlink")
        return "\n".join(lines)

    def plug(self, port):
        """Make a workload and its interface now, while everything runs."""
        name = f"h-{port}"
        if port in self.hosts:
            ns = self.hosts[port].ns
        else:
            (ns,) = make_namespaces(self.run, [name])
        return self._plug(port, ns)

    def plug_runtime(self, port, node, network, addresses, mac=None):
        """A workload that its own node is told of by `port add`, and nobody by a file."""
        mac = mac or self.fabric.next_mac()
        self.fabric.port(port, node, network, addresses, mac=mac)
        host = self.plug(port)
        interface = self.fabric.config["ports"][port]["interface"]
        line = ["port", "add", port, "--interface", interface, "--network", network, "--mac", mac]
        self.node(node).isthmus(*line, *[word for a in addresses for word in ("--address", a)])
        return host

    def unplug(self, port):
        """Delete the port's interface, as the end of a virtual machine or container does."""
        if port in self._cables:
            self._cables.pop(port).close()
        else:
            config = self.fabric.config["ports"][port]
            self.machines()[config["node"]].ns.ip(f"link del dev {config.get('interface', port[:15])}")

    # ---- daemons

    def start(self, wait_up=True, file_of=None):
        """file_of: node's name -> text, where not all nodes have the same file (Fabric.own_yaml)."""
        for name, n in self.nodes.items():
            n.daemon.write_config(file_of(name) if file_of else self.fabric.yaml())
            n.daemon.start(wait=False)
        for n in self.nodes.values():
            n.daemon.wait_ready()
        if wait_up:
            for n in self.nodes.values():
                n.wait_up()

    def apply(self):
        """Write the fabric's configuration to every node and apply it there."""
        text = self.fabric.yaml()
        for n in self.nodes.values():
            n.daemon.write_config(text)
            n.isthmus("apply", n.daemon.config)

    # ---- looking

    def wire_tap(self, nodes=None, **options):
        """A tap on the underlay cables: at the WAN's end, so that `incoming` is what the node sent."""
        return Tap({n: (self.wan, f"w-{n}") for n in nodes or self.machines()}, **options)

    def host_tap(self, hosts=None, **options):
        """A tap on what workloads receive (and with incoming_only=False also send)."""
        options.setdefault("incoming_only", True)
        return Tap({h: (self.hosts[h].ns, self.hosts[h].interface) for h in hosts or self.hosts}, **options)

    def uplink_mac(self, name):
        return self.machines()[name].ns.link("up0")["address"]

    def inject(self, node, *packets):
        """Put IP packets on the cable towards a node, as the last router would: any source address goes."""
        there = self.uplink_mac(node)
        with self.wan.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
            with self.wan:
                s.bind((f"w-{node}", 0))
            s.settimeout(5)
            here = packet.mac_text(s.getsockname()[4])
            for p in packets:
                s.send(packet.eth_ip(there, here, p))

    def leave(self):
        """Leave everything up when this process ends; `python3 -m lab clean --kept` takes it down."""
        self.run.leave()


__all__ = ["Lab", "TapCable", "KernelPeer", "OvsPeer", "LabError", "Namespace", "wait_until", "command"]
