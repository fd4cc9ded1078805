# SPDX-License-Identifier: Apache-2.0
"""Foreign members: machines that speak VXLAN and do not run isthmusd.

Both kinds know their remote MACs from static entries or find them by flooding and learning; which, the caller says.
A peer's ports are plugged by the lab as those of a node; `join` puts them and a tunnel into one network.
"""
import glob
import os

from lab import packet
from lab.run import LabError, command, wait_until

DEFAULT_MAC = "00:00:00:00:00:00"


class KernelPeer:
    """Linux: a vxlan device and a bridge per network."""

    def __init__(self, name, run, ns, underlay):
        self.name, self.run, self.ns, self.underlay = name, run, ns, underlay
        self.uplink = "up0"

    def join(self, vni, ports, local, remotes, macs=None, mtu=1450, port=4789, learning=False):
        """ports: interfaces here; remotes: VTEPs that broadcast goes to; macs: {MAC: VTEP} known from the start."""
        options = ([] if learning else ["nolearning"]) + (
            ["udp6zerocsumtx", "udp6zerocsumrx"] if packet.is_v6(local) else []
        )
        # A bridge with learning finds MACs on ports and, with `learning`, which VTEP they are behind; the
        # others are told to it.
        self.ns.ip(
            f"""
            link add br{vni} type bridge stp_state 0 mcast_snooping 0
            link add vx{vni} mtu {mtu} type vxlan id {vni} dstport {port} local {local} {' '.join(options)}
            link set vx{vni} master br{vni} up
            link set br{vni} up"""
            + "".join(f"\nlink set dev {p} master br{vni} up" for p in ports)
        )
        rows = [f"fdb append {DEFAULT_MAC} dev vx{vni} dst {r} self permanent" for r in remotes]
        for m, vtep in (macs or {}).items():
            rows += [
                f"fdb append {m} dev vx{vni} dst {vtep} self permanent",
                f"fdb append {m} dev vx{vni} master static",
            ]
        if rows:
            command(["bridge", "-n", self.ns.full_name, "-batch", "-"], input="\n".join(rows) + "\n")

    def leave(self, vni):
        self.ns.ip(f"link del vx{vni}\nlink del br{vni}")


def plain(ns, interface):
    """As on a real wire: what leaves this interface is cut to its MTU and its checksums are complete."""
    for feature in (
        "tso",
        "gso",
        "tx",
        "tx-gso-list",
        "tx-udp_tnl-segmentation",
        "tx-udp_tnl-csum-segmentation",
        "tx-udp-segmentation",
    ):
        ns.command("ethtool", "-K", interface, feature, "off", check=False)


class OvsPeer:
    """Open vSwitch with its userspace datapath: no kernel module.  br-phy holds the uplink and its address, br-int
    the rest.

    It takes frames from the kernel by AF_PACKET, which shows super-packets and unfinished checksums: whatever sends to
    it must be `plain`, workloads and the last router (the room does that).
    """

    def __init__(self, name, run, ns, underlay):
        self.name, self.run, self.ns, self.underlay = name, run, ns, underlay
        self.uplink = "up0"
        self.directory = os.path.join(run.directory, name)

    def start(self, gateway):
        d = self.directory
        os.makedirs(d, exist_ok=True)
        schema = glob.glob("/usr/share/openvswitch/vswitch.ovsschema")
        if not schema:
            raise LabError("Open vSwitch is not installed (openvswitch-switch)")
        command(["ovsdb-tool", "create", f"{d}/conf.db", schema[0]])
        environment = {**os.environ, "OVS_RUNDIR": d, "OVS_LOGDIR": d}
        with open(f"{d}/log", "w") as log:
            line = f"ovsdb-server {d}/conf.db --remote=punix:{d}/db.sock --unixctl={d}/ovsdb.ctl --no-chdir"
            self.ns.spawn(*line.split(), env=environment, stdout=log, stderr=log)
            wait_until(lambda: os.path.exists(f"{d}/db.sock"), 5, "ovsdb-server listening")
            self.vsctl("--no-wait", "init")
            line = f"ovs-vswitchd unix:{d}/db.sock --unixctl={d}/vswitchd.ctl --disable-system --no-chdir"
            self.ns.spawn(*line.split(), env=environment, stdout=log, stderr=log)
        wait_until(lambda: os.path.exists(f"{d}/vswitchd.ctl"), 5, "ovs-vswitchd listening")
        self.ns.ip(f"addr flush dev {self.uplink}")
        # br-phy gets the MAC of its one port, and its address.
        self.vsctl(
            *"add-br br-phy -- set bridge br-phy datapath_type=netdev".split(),
            *"-- add-br br-int -- set bridge br-int datapath_type=netdev".split(),
            *f"-- add-port br-phy {self.uplink}".split(),
        )
        wait_until(lambda: self.ns.link("br-phy") and self.ns.link("br-int"), 5, "the bridges")
        address = next(a for a in self.underlay if not packet.is_v6(a))
        self.ns.ip(
            f"""
            addr add {address}/24 dev br-phy
            link set br-phy up
            link set br-int up
            route add default via {gateway}"""
        )
        return self

    def vsctl(self, *argv):
        return command(["ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=10", *argv]).stdout

    def appctl(self, *argv):
        return command(["ovs-appctl", f"--target={self.directory}/vswitchd.ctl", *argv]).stdout

    def join(self, vni, ports, local, remotes):
        """One tunnel port per remote VTEP; br-int learns MACs by flooding.  Tunnels do not flood to each other."""
        for p in ports:
            self.vsctl("add-port", "br-int", p)
        for i, r in enumerate(remotes):
            # `protected`: no frame from one tunnel to another, as every VTEP does (split horizon).
            tunnel = f"vx{vni}-{i}"
            self.vsctl(
                *f"add-port br-int {tunnel} -- set port {tunnel} protected=true".split(),
                *f"-- set interface {tunnel} type=vxlan options:remote_ip={r}".split(),
                *f"options:local_ip={local} options:key={vni}".split(),
            )
