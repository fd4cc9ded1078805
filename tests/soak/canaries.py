# SPDX-License-Identifier: Apache-2.0
"""Row E1: endpoints come and go as fast as files are applied, 1,000 times at least, under canaries; none is on the wire."""
import time

from secured import PLAIN, SecuredLab, is_leak
from soak.run import Figure

WANTED = 1000
COMING = ("spare", "wg", "rk")  # behind a node with a session, one without daemon, one without key


def soak(seconds):
    with SecuredLab(4) as lab:
        ports, rounds = lab.fabric.config["ports"], 0
        coming = {n: ports[n] for n in COMING}
        with lab.wire() as tap, lab.canaries() as canaries:
            canaries.wait_flowing()
            end = time.monotonic() + seconds
            while time.monotonic() < end or rounds < WANTED:
                for name in COMING:
                    del ports[name]
                lab.apply()
                ports.update(coming)
                lab.apply()
                rounds += 1
            canaries.wait_flowing()
        sent = sum(r["sent"] for r in canaries.results)
    return [
        Figure(f"{len(COMING)} endpoints added and deleted", rounds, "times", f">= {WANTED}"),
        Figure("canaries or tunnel packets on the wire", sum(is_leak(f.data) for f in tap.frames), "", "= 0"),
        Figure("frames that nobody looked at", tap.lost, "", "= 0"),
        Figure("packets in clear text that are to be, seen", sum(PLAIN.encode() in f.data for f in tap.frames), "", "> 0"),
        Figure("canaries of the streams", sent, "packets", "> 0"),
        Figure("lost of them", sum(canaries.lost()), "packets", "= 0"),
    ]
