# SPDX-License-Identifier: Apache-2.0
"""The daemon is dead: what only reads still answers, says so, and ends with 3.  And what needs no daemon at all."""
import json
import os
import shutil

import pytest

from lab.run import wait_until


@pytest.fixture(scope="module")
def dead(request):
    from conftest import Cli, make_fabric
    from lab.room import Lab

    with Lab(make_fabric()) as lab:
        cli = Cli(lab, "dc1")
        cli.node.wait_up()
        cli.lab.host("app1").ping("10.0.2.99", check=False)
        os.chmod(lab.run.directory, 0o755)
        # What changes by itself is not compared below.
        cli.alive = {
            kind: json.loads(cli.ok("get", kind, "-o", "json"))
            for kind in ("nodes", "sites", "tenants", "networks", "macs", "hosts", "routes", "ports")
        }
        cli.drops = {d["name"]: d["packets"] for d in json.loads(cli.ok("get", "drops", "-o", "json"))["items"]}
        cli.config = cli.ok("get", "all", "-o", "yaml")
        cli.node.daemon.kill9()
        yield cli


def offline(cli, *argv):
    p = cli.run(*argv)
    assert p.returncode == 3, f"{argv}: {p.stdout}{p.stderr}"
    assert "daemon not running" in p.stderr
    return p.stdout


@pytest.mark.parametrize("kind", ["nodes", "sites", "tenants", "networks", "macs", "hosts", "routes", "ports"])
def test_lists_are_the_same_as_before(dead, kind):
    def still(items):
        return [{k: v for k, v in i.items() if not k.startswith(("rx", "tx"))} for i in items]

    assert still(json.loads(offline(dead, "get", kind, "-o", "json"))["items"]) == still(dead.alive[kind]["items"])


def test_status_is_marked(dead):
    status = json.loads(offline(dead, "status", "-o", "json"))
    assert status["daemon"] == "not running" and status["pid"] is None and status["node"] == "dc1"
    assert status["ports"] == {"up": 2, "waiting": 0, "down": 0, "failed": 0, "remote": 1}
    assert "not running" in offline(dead, "status")


def test_drops_are_those_of_the_pinned_maps(dead):
    now = {d["name"]: d["packets"] for d in json.loads(offline(dead, "drops", "-o", "json"))["items"]}
    assert dead.drops["no_host"] > 0
    assert all(now[name] >= n for name, n in dead.drops.items())
    assert "no_host" in offline(dead, "drops")


def test_objects_by_name(dead):
    assert "02:00:00:00:00:01" in offline(dead, "describe", "port", "web1")
    p = dead.run("get", "port", "nix")
    assert p.returncode == 2 and 'nothing is called "nix"' in p.stderr


def test_the_configuration_is_the_last_one(dead):
    assert offline(dead, "get", "all", "-o", "yaml") == dead.config


def test_doctor_finds_the_dead_daemon(dead):
    checks = json.loads(offline(dead, "doctor", "-o", "json"))["checks"]
    found = [c for c in checks if c["name"] == "daemon"][0]
    assert found["state"] == "fail" and "systemctl start" in found["fix"]
    assert not [c for c in checks if c["state"] == "fail" and c["name"] != "daemon"]


@pytest.mark.parametrize(
    "argv",
    [
        ["apply", "isthmus.yaml"],
        ["apply", "isthmus.yaml", "--dry-run"],
        ["diff", "isthmus.yaml"],
        ["port", "del", "web1", "--yes"],
        ["drops", "--watch"],
        ["port", "add", "x", "-i", "x", "--network", "red/web", "-m", "02:00:00:00:00:09"],
    ],
)
def test_what_needs_the_daemon_says_so(dead, argv):
    p = dead.run(*argv)
    assert p.returncode == 3 and p.stdout == "" and "systemctl start isthmusd" in p.stderr


def test_waiting_for_a_dead_daemon_times_out(dead):
    p = dead.run("status", "--wait", "--timeout", "300ms")
    assert p.returncode == 5 and "does not answer" in p.stderr


def test_version_is_known_without_a_daemon(dead):
    assert "not running" in dead.ok("version")


def test_no_trace_of_a_daemon(cli, tmp_path):
    """Never started here: it says what is missing, and exits with 3."""
    p = cli.run(
        "status",
        env={
            "ISTHMUS_RUN_DIR": str(tmp_path),
            "ISTHMUS_BPF_DIR": str(tmp_path),
            "ISTHMUS_STATE_DIR": str(tmp_path),
            "ISTHMUS_CONFIG": str(tmp_path / "none"),
        },
    )
    assert p.returncode == 3 and "there is no configuration" in p.stdout and "there is no data plane" in p.stdout


def test_check_explain_and_schema_need_nobody(cli):
    # A copy where everybody may look: the tree may stand in a home folder.
    program = shutil.copy(os.path.join(os.environ.get("ISTHMUS_BUILD", "build"), "src", "cli", "isthmus"), cli.directory)
    os.chmod(cli.directory, 0o755)
    nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "env",
        "-i",
        "PATH=" + os.path.dirname(program) + ":/usr/bin:/bin",
    ]
    assert "correct" in cli.ok("check", "isthmus.yaml", prefix=nobody)
    assert "vni" in cli.ok("explain", "tenants", prefix=nobody)
    assert json.loads(cli.ok("schema", prefix=nobody))["$schema"]
    p = cli.run("check", "-", input="version: 1\nvni: 3\n", prefix=nobody)
    assert p.returncode == 2 and p.stderr.startswith("standard input:")


def test_check_and_daemon_say_the_same(cli, tmp_path):
    """The same code: word for word, for every wrong configuration that the tree knows."""
    import pathlib

    bad = sorted((pathlib.Path(__file__).resolve().parents[1] / "conf" / "bad").glob("*.yaml"))
    assert bad
    for path in bad[:: max(1, len(bad) // 25)]:
        if path.stat().st_size > 8 << 20 or path.name.startswith(
            "runtime_"
        ):  # the latter: wrong only beside run-time ports
            continue
        check, apply = cli.run("check", str(path)), cli.run("apply", str(path), "--dry-run")
        assert check.returncode == apply.returncode == 2, path
        errors = [[line for line in p.stderr.splitlines() if line.startswith(str(path))] for p in (check, apply)]
        assert errors[0] == errors[1] and errors[0], path


def test_hanging_daemon_times_out(own_cli):
    import signal

    own_cli.node.daemon.process.send_signal(signal.SIGSTOP)
    try:
        p = own_cli.run("status")
        assert p.returncode == 5 and p.stdout == "" and "does not answer" in p.stderr
        p = own_cli.run("__complete", "get", "ports", "")
        assert p.returncode == 0 and p.stdout == ""
    finally:
        own_cli.node.daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: own_cli.run("status").returncode == 0)
