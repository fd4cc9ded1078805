# SPDX-License-Identifier: Apache-2.0
"""The systemd unit: how exposed it is, and that it leaves the daemon what the daemon needs."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "debian" / "isthmusd.service"
THRESHOLD = 30  # systemd-networkd 28; FRR, Open vSwitch and strongSwan 95 to 98


def analyze(*argv):
    return subprocess.run(["systemd-analyze", *map(str, argv)], capture_output=True, text=True)


def settings(key):
    return [line.split("=", 1)[1] for line in UNIT.read_text().splitlines() if line.startswith(key + "=")]


def test_exposure(tmp_path):
    p = analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", "--no-pager", UNIT)
    assert p.returncode == 0, p.stdout[-300:] + p.stderr
    level = float(re.search(r"exposure level for isthmusd.service: ([0-9.]+)", p.stdout)[1])
    assert 0 < level <= THRESHOLD / 10
    bare = tmp_path / "isthmusd.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", "--no-pager", bare).returncode != 0


def group(name, seen=()):
    """System calls of a group of systemd's, with the groups in it."""
    found = set()
    for line in analyze("syscall-filter", name, "--no-pager").stdout.splitlines()[1:]:
        word = line.split("#")[0].strip()
        if word.startswith("@") and word not in seen:
            found |= group(word, (*seen, word))
        elif word:
            found.add(word)
    return found


def filtered():
    """What SystemCallFilter= leaves: systemd.exec(5), lines in order, the first one says that it is a list of allowed."""
    left = set()
    for line in settings("SystemCallFilter"):
        words = line.lstrip("~").split()
        calls = set().union(*(group(w) if w.startswith("@") else {w} for w in words))
        left = left - calls if line.startswith("~") else left | calls
    return left


def daemons_own():
    source = (ROOT / "src" / "agent" / "syscalls.c").read_text()
    source = re.sub(r"#if SANITIZED.*?#endif", "", source, flags=re.S)
    listed = source[source.index("allowed[]") : source.index("hostile[]")]
    return set(re.findall(r"SCMP_SYS\((\w+)\)", listed))


def test_the_unit_allows_what_the_daemon_allows_itself():
    left = filtered()
    own = daemons_own()
    assert len(own) > 80
    assert not own - left
    # to enter its own box
    assert {"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= left
    assert {"prctl", "capget", "capset", "setrlimit", "prlimit64"} <= left
    # and to start
    assert {"bpf", "chown", "flock", "mkdir", "signalfd4", "listen"} <= left
    # The two agree on what is out of the question.
    assert not left & {"mount", "umount2", "init_module", "finit_module", "kexec_load", "reboot", "swapon", "setuid"}


def test_rights_of_the_unit():
    kept = settings("CapabilityBoundingSet")[0].split()
    assert set(kept) == {"CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_CHOWN"}
    assert settings("AmbientCapabilities") == [""] and settings("NoNewPrivileges") == ["yes"]
    assert settings("LimitCORE") == ["0"]
