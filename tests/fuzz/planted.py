#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one bug per fuzzer in a copy of the tree and sees it found.

planted.py [TARGET ...]     default: all; ends with the seconds that each took, and 1 when one found nothing

A plant is (file, text, text in its place).  The corpus is the start, as in the tests, so that most are found at once.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SECONDS = 60

PLANTS = {
    "config": ("src/conf/emit.c", "	if (n->foreign) {", "	if (false) {"),  # not written back
    "packet": ("src/bpf/parse.h", "p->l3_size < header || p->l3_size > size - ETH_HLEN)", "p->l3_size < header)"),
    "api": ("src/api/route.c", "if (route->mutates && user->access != API_ACCESS_ALL) {", "if (false) {"),
    "netlink": ("src/kern/rtnl.c", "h->nlmsg_len < sizeof(*h) || h->nlmsg_len > *size)", "h->nlmsg_len < sizeof(*h))"),
    "adopt": ("src/dp/map.c", "if (memcmp(map_cell_value(m, cell), value, m->shape.value_size) != 0)", "if (false)"),
    "bgp_evpn": ("src/bgp/nlri_evpn.c", "	if (length > 8 * size) {", "	if (false) {"),
    "bgp_open": ("src/bgp/open.c", "	if (o.id == 0)", "	if (false)"),
    "bgp_stream": ("src/bgp/message.c", "	if (size < length)", "	if (false)"),
    "bgp_update": ("src/bgp/aspath.c", "return \"AS 0\"; /* RFC 7607 2 */", "return NULL;"),
    "wg_data": ("src/wg/replay.c", "> REPLAY_WINDOW)", "> REPLAY_WINDOW + 64)"),
    "wg_handshake": ("src/wg/peer.c", "	if (p->received && (memcmp(", "	if (false && (memcmp("),  # recorded ones are answered
    "wg_probe": ("src/wg/probe.c", "!p->waiting || m->round != p->round || ", ""),  # late ones count
    "wg_relay": ("src/wg/carry.c", "RELAXED) || from->relay != 0)", "RELAXED))"),  # what was carried is carried on
    "wg_segment": ("src/wg/segment.c", "(left < c->mss ? left : c->mss)", "c->mss"),
    "state": ("src/agent/snapshot.c", "if (strtoull(text_hash, NULL, 16) != hash_stable(all + header + 1, s.size))",
              "if (false)"),
}


def run(argv, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", **more)


def build(tree, target):
    p = run(["ninja", "-C", os.path.join(tree, "build"), f"tests/fuzz/fuzz_{target}"])
    if p.returncode != 0:
        sys.exit(f"planted.py: {target} does not build:\n{p.stdout[-3000:]}")


def try_one(tree, target):
    """Seconds until it was found, or None."""
    name, old, new = PLANTS[target]
    path = os.path.join(tree, name)
    with open(path) as f:
        text = f.read()
    if text.count(old) != 1:
        sys.exit(f"planted.py: {name} has {text.count(old)} times: {old}")
    with open(path, "w") as f:
        f.write(text.replace(old, new))
    build(tree, target)
    scratch = os.path.join(tree, "scratch")
    os.makedirs(scratch, exist_ok=True)
    begun = time.monotonic()
    p = run([os.path.join(tree, "build", "tests", "fuzz", f"fuzz_{target}"), f"-max_total_time={SECONDS}", "-timeout=10",
             f"-artifact_prefix={scratch}/", scratch, os.path.join(HERE, "corpus", target)], cwd=scratch,
            env={**os.environ, "LLVM_PROFILE_FILE": "/dev/null"})
    took = time.monotonic() - begun
    shutil.rmtree(scratch)
    with open(path, "w") as f:
        f.write(text)
    return took if p.returncode != 0 else None


def main():
    unknown = [t for t in sys.argv[1:] if t not in PLANTS]
    if unknown:
        sys.exit(f"planted.py: no plant for {unknown[0]}; there are: {' '.join(PLANTS)}")
    missed = 0
    with tempfile.TemporaryDirectory() as tree:
        for name in os.listdir(ROOT):
            if name.startswith((".", "build")):
                continue
            source = os.path.join(ROOT, name)
            (shutil.copytree if os.path.isdir(source) else shutil.copy2)(source, os.path.join(tree, name))
        p = run(["meson", "setup", os.path.join(tree, "build"), tree, "-Dfuzzing=true", "-Db_sanitize=address,undefined",
                 "-Db_lundef=false"], env={**os.environ, "CC": "clang"})
        if p.returncode != 0:
            sys.exit(p.stdout + p.stderr)
        for target in sys.argv[1:] or PLANTS:
            took = try_one(tree, target)
            missed += took is None
            print(f"{target:8} " + ("found nothing" if took is None else f"found it after {took:.1f} s"), flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
