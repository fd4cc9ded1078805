# SPDX-License-Identifier: Apache-2.0
"""Row B11: neighbors that read nothing, or say nothing: hold timer and SendHold timer end it in time.

The SendHold timer (RFC 9687) is 8 minutes, so the long form takes nine.
"""
import time

from lab import hand as bgp
from lab.run import wait_until
from soak.hands import HandLab
from soak.run import Figure

HOLD_S = 3
SEND_HOLD_S = 480


def neighbors():
    return {
        "mute": {"hold_time": HOLD_S},
        "halfopen": {"hold_time": HOLD_S},
        "deaf": {"hold_time": HOLD_S},
        "steady": {"hold_time": HOLD_S},
    }


def cut(lab, name):
    """The neighbor's address takes nothing in and lets nothing out: nobody tells the daemon that it is gone."""
    address = lab.neighbors[name]["address"]
    lab.hub.command("nft", "add table ip cut")
    for hook, word in (("input", "daddr"), ("output", "saddr")):
        lab.hub.command("nft", f"add chain ip cut {hook} {{ type filter hook {hook} priority 0; }}")
        lab.hub.command("nft", f"add rule ip cut {hook} ip {word} {address} drop")


def hold_timers(lab):
    """One says nothing, one cannot be reached any more, one reads nothing either."""
    resets_before = lab.session("steady")["resets"]
    steady = lab.hand("steady", hold_s=HOLD_S).connect()
    options = {"mute": {}, "halfopen": {}, "deaf": {"reads": False, "receive_buffer": 2048}}
    hands, since, took = {}, {}, {}
    for name, o in options.items():
        hands[name] = lab.hand(name, hold_s=HOLD_S, alive=False, **o).connect()
        since[name] = time.monotonic()
    cut(lab, "halfopen")

    def all_given_up():
        for name in options:
            if name not in took and lab.session(name)["state"] != "Established":
                took[name] = time.monotonic() - since[name]
        return len(took) == len(options)

    wait_until(all_given_up, HOLD_S + 5, "they are given up")
    figures = []
    for name in options:
        figures += [
            Figure(f"{name}: given up after", took[name], "s", f"<= {HOLD_S + 1}"),
            Figure(f"{name}: not before", took[name], "s", f">= {HOLD_S - 0.2}"),
            Figure(f"{name}: by the hold timer", "Hold Timer" in (lab.session(name)["lastError"] or ""), "", "= 1"),
        ]
    figures += [
        Figure("mute: code of the NOTIFICATION", hands["mute"].wait_notification(2)[0], "", "= 4"),
        Figure("resets of a neighbor that is well", lab.session("steady")["resets"] - resets_before, "", "= 0"),
    ]
    lab.hub.command("nft", "delete table ip cut")
    for hand in (steady, *hands.values()):
        hand.close(reset=True)
    return figures


def send_hold(lab):
    """Reads nothing, and says that it is there: what is queued for it does not move for eight minutes."""
    resets_before = lab.session("steady")["resets"]
    steady = lab.hand("steady", hold_s=HOLD_S).connect()
    deaf = lab.hand("deaf", hold_s=HOLD_S, reads=False, receive_buffer=2048).connect()
    refresh = bgp.message(bgp.REFRESH, b"\0\x19\0\x46")

    def is_stuck():
        if time.monotonic() - state[0] > 0.9:
            deaf.send(bgp.message(bgp.KEEPALIVE))
            state[0] = time.monotonic()
        deaf.send(refresh * 64)
        return lab.session("deaf")["queued"] > 0

    state = [time.monotonic()]
    wait_until(is_stuck, 60, "more is queued than TCP takes", every=0.05)
    stuck = time.monotonic()
    while lab.session("deaf")["state"] == "Established" and time.monotonic() - stuck < SEND_HOLD_S + 30:
        deaf.send(bgp.message(bgp.KEEPALIVE), check=False)
        last = time.monotonic()
        wait_until(lambda: time.monotonic() - last > 0.9 or lab.session("deaf")["state"] != "Established", 2, every=0.1)
    took = time.monotonic() - stuck
    error, resets = lab.session("deaf")["lastError"] or "", lab.session("steady")["resets"]
    for hand in (steady, deaf):
        hand.close()
    return [
        Figure("given up after", took, "s", f"<= {SEND_HOLD_S + 1}"),
        Figure("not before", took, "s", f">= {SEND_HOLD_S - 2}"),
        Figure("because of the SendHold timer", "Send Hold" in error, "", "= 1"),
        Figure("resets of a neighbor that is well", resets - resets_before, "", "= 0"),
    ]


def soak(seconds):
    with HandLab(neighbors()) as lab:
        return hold_timers(lab) + (send_hold(lab) if seconds >= SEND_HOLD_S else [])
