# SPDX-License-Identifier: Apache-2.0
"""FRR in one of the lab's namespaces: zebra and bgpd with files and sockets of their own, asked by vtysh."""
import json
import os
import shutil
import tempfile

from lab.run import LabError, wait_until

DAEMONS = "/usr/lib/frr"
# Next hops are behind the lab's routers.
ZEBRA = "ip nht resolve-via-default\nipv6 nht resolve-via-default\n"


class Frr:
    """start() with the text of a configuration (vtysh's); ended with the lab."""

    def __init__(self, run, ns, name, options=()):
        """options: more of bgpd's."""
        self.ns, self.run, self.options = ns, run, options
        # The lab's own directory is root's alone, and FRR runs as its user.
        self.directory = tempfile.mkdtemp(prefix=f"{run.prefix}-{name}-")
        shutil.chown(self.directory, "frr", "frr")
        run.on_close(shutil.rmtree, self.directory, True)
        self.processes = {}

    def start(self, config):
        self.config = config
        for daemon in ("zebra", "bgpd"):
            self.start_one(daemon)

    def start_one(self, daemon):
        d = self.directory
        path = os.path.join(d, f"{daemon}.conf")
        with open(path, "w") as f:
            f.write(self.config if daemon == "bgpd" else ZEBRA)
        vty = os.path.join(d, f"{daemon}.vty")
        if os.path.exists(vty):
            os.unlink(vty)
        self.processes[daemon] = self.ns.spawn(
            os.path.join(DAEMONS, daemon),
            *("-A", "127.0.0.1", "-P", "0"),
            *("-f", path, "-i", os.path.join(d, f"{daemon}.pid"), "-z", os.path.join(d, "zserv.api")),
            *("--vty_socket", d, "--log", f"file:{d}/{daemon}.log"),
            *(self.options if daemon == "bgpd" else ()),
            stdout=-3,
            stderr=-3,
        )
        wait_until(lambda: os.path.exists(vty), 10, f"{daemon} of FRR")

    def kill(self, daemon="bgpd"):
        self.processes[daemon].kill()
        self.processes[daemon].wait()

    def ask(self, command):
        p = self.ns.command("vtysh", "--vty_socket", self.directory, "-c", command, check=False)
        if p.returncode:
            raise LabError(f"vtysh: {command}: {p.stdout}{p.stderr}")
        return p.stdout

    def json(self, command):
        return json.loads(self.ask(command + " json"))

    def established(self):
        """Peers of EVPN that are up."""
        peers = self.json("show bgp l2vpn evpn summary").get("peers", {})
        return [a for a, p in peers.items() if p.get("state") == "Established"]


def reflector(asn, router_id, clients, restart_s=120):
    """Takes these as clients, for EVPN and both kinds of unicast.  Its routes outlive it, and after a restart it waits
    for all of them before it says that it is through (RFC 4724 4.1).  restart_s: how long it asks them to keep its routes.
    """
    return f"""
router bgp {asn}
 bgp router-id {router_id}
 no bgp default ipv4-unicast
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time {restart_s}
 neighbor fabric peer-group
 neighbor fabric remote-as {asn}
""" + "".join(f" neighbor {c} peer-group fabric\n neighbor {c} passive\n" for c in clients) + "".join(
        f" address-family {f}\n  neighbor fabric activate\n  neighbor fabric route-reflector-client\n exit-address-family\n"
        for f in ("l2vpn evpn", "ipv4 unicast", "ipv6 unicast")
    )


def vtep(asn, router_id, neighbor):
    """An EVPN leaf: the bridges and vxlan devices of the kernel are its networks."""
    return f"""
router bgp {asn}
 bgp router-id {router_id}
 no bgp default ipv4-unicast
 bgp graceful-restart
 neighbor {neighbor} remote-as {asn}
 neighbor {neighbor} timers connect 2
 address-family l2vpn evpn
  neighbor {neighbor} activate
  advertise-all-vni
 exit-address-family
"""
