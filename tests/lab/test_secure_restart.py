# SPDX-License-Identifier: Apache-2.0
"""A file that asks for more encryption than it did, read by a restart: what only BGP knows of is not sent in clear text until
the neighbors have spoken again.
"""
from test_secure_bgp import InsideLab, fabric_of

from lab import packet


def test_kept_entries_are_encrypted_from_the_start():
    fabric = fabric_of(4)
    fabric.config["fabric"]["encryption"] = "never"
    fabric.tenant("blue", 6000)
    fabric.network("blue/open", vni=6001, subnets=["10.0.2.0/24"], encryption="never")
    for n, node in enumerate(("dc1", "aws1"), 1):
        fabric.port(f"b{n}", node, "blue/open", [f"10.0.2.{n}"])
    with InsideLab(fabric, start=False) as lab:
        lab.wait_sessions(encrypted=False)
        lab.wait_reached()
        dc1, w1 = lab.node("dc1"), lab.host("w1")
        for other in ("aws1", "gcp1"):
            lab.node(other).daemon.kill9()
        dc1.daemon.stop()
        with lab.wire_tap(["dc1"], keep=lambda f: f.incoming and packet.inner_of(f.data)) as tap:
            w1.ping(lab.host("w2").ip4)
            tap.wait(lambda f: True, 1)
            seen = len(tap.frames)  # nobody was told yet
            fabric.config["fabric"]["encryption"] = "between-sites"
            dc1.daemon.write_config(fabric.own_yaml("dc1"))
            dc1.daemon.start()
            for host in ("w2", "w3"):
                w1.ping(lab.host(host).ip4, count=5, check=False, timeout=0.2)
            tap.settle(0.3)
            assert len(tap.frames) == seen
            # what the file does not want encrypted goes on, although nobody is there to encrypt it with
            lab.host("b1").ping(lab.host("b2").ip4, count=3)
