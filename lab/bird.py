# SPDX-License-Identifier: Apache-2.0
"""BIRD 2 in one of the lab's namespaces: a router of the underlay, asked by birdc."""
import os
import re
import shutil
import tempfile

from lab import packet
from lab.run import LabError, wait_until


class Bird:
    """start() with the text of a configuration; what it learns it puts into the kernel.  Ended with the lab."""

    def __init__(self, run, ns, name):
        self.ns = ns
        # The lab's own directory is root's alone, and BIRD runs as its user.
        self.directory = tempfile.mkdtemp(prefix=f"{run.prefix}-{name}-")
        shutil.chown(self.directory, "bird", "bird")
        run.on_close(shutil.rmtree, self.directory, True)
        self.config = os.path.join(self.directory, "bird.conf")
        self.control = os.path.join(self.directory, "bird.ctl")
        self.process = None

    def _write(self, text):
        with open(self.config, "w") as f:
            f.write(text)

    def start(self, text):
        self._write(text)
        self.process = self.ns.spawn(
            *("bird", "-f", "-u", "bird", "-g", "bird", "-c", self.config, "-s", self.control), stdout=-3, stderr=-3
        )
        wait_until(lambda: os.path.exists(self.control) and self.ask("show status"), 10, "BIRD")

    def configure(self, text):
        """The same sessions, other routes."""
        self._write(text)
        self.ask("configure")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, *words):
        p = self.ns.command("birdc", "-s", self.control, *" ".join(words).split(), check=False)
        if p.returncode:
            raise LabError(f"birdc {' '.join(words)}: {p.stdout}{p.stderr}")
        return p.stdout

    def routes(self):
        """Prefix -> next hops, of what its neighbors say."""
        found, prefix = {}, None
        for line in self.ask("show route where source = RTS_BGP").splitlines():
            if m := re.match(r"(\S+/\d+)\s", line):
                prefix = m[1]
            if m := re.match(r"\s+via (\S+) on", line):
                found.setdefault(prefix, set()).add(m[1])
        return found

    def established(self):
        return len(re.findall(r"\bBGP\b.*\bEstablished\b", self.ask("show protocols")))


def router(asn, router_id, local, peer_as, peers, routes, next_hop6=None):
    """Sessions from `local` to these, both families in each; announces the routes, with itself as next hop.

    next_hop6: what it says for IPv6 where the session is over IPv4.  Over IPv6, IPv4 has IPv6 next hops (RFC 8950).
    """
    text = f"router id {router_id};\nprotocol device {{}}\n"
    for family in ("ipv4", "ipv6"):
        own = [r for r in routes if packet.is_v6(r.split("/")[0]) == (family == "ipv6")]
        text += f"protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n"
        text += f"protocol static {{ {family}; " + "".join(f"route {r} blackhole; " for r in own) + "}\n"
    for peer in peers:
        text += f"protocol bgp {{\n local {local} as {asn};\n neighbor {peer} as {peer_as};\n"
        text += " connect retry time 1;\n connect delay time 1;\n error wait time 1, 2;\n graceful restart;\n"
        for family in ("ipv4", "ipv6"):
            over6 = " extended next hop;" if packet.is_v6(local) and family == "ipv4" else ""
            if next_hop6 and family == "ipv6":
                over6 = f" next hop address {next_hop6};"
            text += f" {family} {{ import all; export where source = RTS_STATIC;{over6} }};\n"
        text += "}\n"
    return text
