# SPDX-License-Identifier: Apache-2.0
"""Hostile and huge files end in an error (exit 2, a place and a path) within 1 s and 64 MiB."""
import os
import re
import subprocess

import pytest

from conftest import BUILD

MIB = 1 << 20
HEAD = "version: 1\nfabric: {encryption: never}\nsites: {dc: {}}\nnodes:\n"


def bomb():
    """Each level holds the one before nine times: 9**30 texts when it is expanded."""
    names = [f"l{i}" for i in range(31)]
    rows = ['l0: &l0 ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    rows += [f"{b}: &{b} [{','.join(['*' + a] * 9)}]" for a, b in zip(names, names[1:])]
    return "\n".join(rows) + "\n"


def mac(i):
    return f"02:00:00:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"


def address(first, i):
    return f"{first}.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"


def ports(n, node="n1"):
    return "".join(f"  p{i}: {{node: {node}, interface: i{i}, network: t/n, mac: {mac(i)}}}\n" for i in range(n))


FABRIC = HEAD + "  n1: {site: dc, underlay: 192.0.2.1}\ntenants:\n  t: {vni: 1, networks: {n: {mode: l2, vni: 2}}}\nports:\n"
BGP = FABRIC.replace("ports:\n", "ports: {}\nbgp:\n  as: 65000\n  neighbors:\n")

HOSTILE = {
    "alias_bomb": (bomb, 1009),
    "nested_lists": (lambda: "a: " + "[" * 10000 + "]" * 10000 + "\n", 1004),
    "nested_maps": (lambda: "{a: " * 10000 + "1" + "}" * 10000 + "\n", 1004),
    "nested_blocks": (lambda: "".join(" " * i + "a:\n" for i in range(3000)), 1004),
    "nested_dashes": (lambda: "- " * 10000 + "a\n", 1004),
    "nested_keys": (lambda: "? " * 10000 + "a\n", 1013),
    "unclosed_brackets": (lambda: "[" * (2 * MIB), 1004),
    "fifty_megabytes": (lambda: HEAD + "#" * (50 * MIB), 1003),
    "one_byte_too_large": (lambda: HEAD + "#" * (8 * MIB + 1 - len(HEAD)), 1003),
    "nul_bytes": (lambda: "\0" * MIB, 1007),
    "nul_at_the_end": (lambda: FABRIC + ports(3) + "\0", 1007),
    "not_utf8": (lambda: b"\xff" * (8 * MIB), 1006),
    "one_long_text": (lambda: HEAD + "  n1: {site: '" + "x" * (7 * MIB) + "'}\n", 2010),
    "one_long_key": (lambda: "x" * (7 * MIB) + ": 1\n", 1001),
    "million_commas": (lambda: "version: [" + "1," * (4 * MIB - 20) + "1]\n", 1005),
    "million_keys": (lambda: "".join(f"k{i}: 1\n" for i in range(390000)), 2001),
    "million_equal_keys": (lambda: "a: 1\n" * 390000, 1012),
    "million_tag_directives": (lambda: "".join(f"%TAG !a{i}! x\n" for i in range(300000)) + "--- 1\n", 1014),
    "million_anchors": (lambda: "".join(f"k{i}: &a{i} 1\n" for i in range(300000)), 1009),
    "million_aliases": (lambda: "a: &a 1\nb: [" + "*a ," * 390000 + "1]\n", 1009),
    "million_documents": (lambda: "---\n" * MIB, 1011),
    "million_quotes": (lambda: "a: " + "'" * (4 * MIB) + "\n", 2001),
    "million_wrong_ports": (lambda: FABRIC + "".join(f"  p{i}: 1\n" for i in range(390000)), 2003),
    "million_empty_ports": (lambda: FABRIC + "".join(f"  p{i}: {{}}\n" for i in range(390000)), 2002),
    "unknown_nodes": (lambda: FABRIC + ports(45000, "n" + "x" * 40), 3002),
    "names_near_each_other": (lambda: HEAD + "".join(
        f"  {'n' * 55}{i:06}: {{site: {'s' * 60}, underlay: {address(10, i)}}}\n" for i in range(1, 50000)), 3001),
    "equal_macs": (lambda: FABRIC + "".join(
        f"  p{i}: {{node: n1, interface: i{i}, network: t/n, mac: 02:00:00:00:00:01}}\n" for i in range(45000)), 4006),
    "equal_neighbors": (lambda: BGP + "".join(
        f"    p{i}: {{address: 192.0.2.9, remote_as: 65001}}\n" for i in range(90000)), 4018),
    "neighbors_on_many_nodes": (lambda: HEAD + "".join(
        f"  n{i}: {{site: dc, underlay: {address(10, i)}}}\n" for i in range(1, 3800)) + BGP.partition("ports: {}\n")[2] +
        "".join(f"    p{i}: {{address: 192.0.2.{i % 90 + 1}, remote_as: 65001, nodes: [" +
                ", ".join(f"n{k}" for k in range(1, 3800)) + "]}\n" for i in range(100)), 4018),
    "node_thousandfold_in_a_list": (lambda: BGP + "    p: {address: 192.0.2.9, remote_as: 65001, nodes: [" +
                                    "n1, " * 390000 + "n1]}\n", 4015),
    "overlapping_subnets": (lambda: FABRIC.replace("vni: 2", "vni: 2, subnets: [" + ", ".join(
        f"10.{i >> 8 & 255}.{i & 255}.0/24" for i in range(65536)) + ", 10.0.0.0/8]"), 4002),
}


def measure(path):
    """Exit status, standard error, seconds of processor time, and how many bytes of memory it took."""
    program = BUILD / "tests" / "unit" / "conf-check"
    peak = path.with_suffix(".peak")
    with subprocess.Popen([program, str(path)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          env={**os.environ, "CONF_CHECK_PEAK": str(peak)}) as process:
        text = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, text, usage.ru_utime + usage.ru_stime, int(peak.read_text()) * 1024


def is_sanitized():
    return b"__asan_init" in (BUILD / "tests" / "unit" / "conf-check").read_bytes()


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """What the program takes for a file of one line."""
    path = tmp_path_factory.mktemp("idle") / "one.yaml"
    path.write_text("version: 1\n")
    return measure(path)[3]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_within_its_limits(name, idle, tmp_path):
    make, code = HOSTILE[name]
    path = tmp_path / "hostile.yaml"
    text = make()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    status, errors, seconds, memory = measure(path)
    lines = errors.splitlines()
    assert status == 2, errors[:2000]
    assert 1 <= len(lines) <= 100
    assert any(line.endswith(f"(IST-{code})") for line in lines), errors[:2000]
    for line in lines:
        assert re.match(r"^[^:]+:\d+:\d+: \S.*: .+; expected .+ \(IST-\d{4}\)$", line), line
        assert len(line) < 1000
    print(f"{seconds:.2f} s, {(memory - idle) / MIB:.1f} MiB")
    if not is_sanitized():
        assert seconds <= 1, f"{seconds:.2f} s"
        assert memory - idle <= 64 * MIB, f"{(memory - idle) / MIB:.1f} MiB"


def big_fabric(n_nodes, n_ports, network="mode: l2, vni: 2"):
    nodes = "".join(f"  n{i}: {{site: dc, underlay: {address(192, i)}}}\n" for i in range(1, n_nodes + 1))
    rows = "".join(f"  p{i}: {{node: n{i % n_nodes + 1}, interface: i{i}, network: t/n, mac: {mac(i)}, "
                   f"addresses: {address(10, i)}}}\n" for i in range(1, n_ports + 1))
    return f"{HEAD}{nodes}tenants:\n  t: {{vni: 1, networks: {{n: {{{network}}}}}}}\nports:\n{rows}"


@pytest.mark.parametrize("nodes, count, right",
                         [(4096, 4096, True), (4097, 4097, False), (1, 4096, True), (1, 4097, False)])
def test_members_of_a_network_are_bounded(nodes, count, right, tmp_path):
    path = tmp_path / "fabric.yaml"
    path.write_text(big_fabric(nodes, count))
    status, errors, _, _ = measure(path)
    assert status == (0 if right else 2), errors
    assert right or (len(errors.splitlines()) == 1 and errors.endswith("(IST-4012)\n")), errors


def test_an_l3_network_may_have_more_members(tmp_path):
    path = tmp_path / "fabric.yaml"
    path.write_text(big_fabric(2, 11000, "mode: l3, subnets: 10.0.0.0/8"))
    status, errors, seconds, _ = measure(path)
    assert status == 0, errors
    assert is_sanitized() or seconds < 1


def test_ports_added_at_run_time_are_bounded_together(tmp_path):
    """Each of the two texts is small enough; what would be written of both is not."""
    fabric, remembered, request = tmp_path / "fabric.yaml", tmp_path / "ports.yaml", tmp_path / "request.yaml"
    fabric.write_text(FABRIC.replace("mode: l2, vni: 2", "mode: l3, subnets: 10.0.0.0/8") + "  {}\n")
    rows = big_fabric(1, 57143, "mode: l3, subnets: 10.0.0.0/8").partition("ports:\n")[2].splitlines(True)
    remembered.write_text("ports:\n" + "".join(rows[:57140]))  # 7 values each when they are written, of 400,000
    program = BUILD / "tests" / "unit" / "conf-check"
    for count, right in ((2, True), (3, False)):
        request.write_text("ports:\n" + "".join(rows[57140:57140 + count]))
        done = subprocess.run([program, fabric, remembered, request], capture_output=True, text=True, check=False,
                              timeout=60)
        assert done.returncode == (0 if right else 2), done.stderr[:500]
        assert right or re.fullmatch(
            r"\S+/request\.yaml:2:3: ports\.p57141: 57143 ports added at run time are 400003 values in \d+ bytes, .*; "
            r"expected at most 400000 values .* \(IST-4016\)\n", done.stderr), done.stderr[:500]
