# SPDX-License-Identifier: Apache-2.0
"""What changes the fabric: dry runs, questions, exit codes, and the way back."""
import json
import os
import pty
import select
import subprocess

import pytest
import yaml

from lab.run import wait_until

PORT = [
    "port",
    "add",
    "web9",
    "-i",
    "web9",
    "--network",
    "red/web",
    "-m",
    "02:00:00:00:00:09",
    "-a",
    "10.0.1.19",
    "-a",
    "fd00:1::19",
]


def generation(cli):
    return json.loads(cli.run("status", "-o", "json").stdout)["generation"]


def test_what_get_all_prints_is_what_runs(cli):
    p = cli.shell("isthmus get all -o yaml | isthmus apply -")
    assert p.returncode == 0 and p.stderr == "nothing to change\n"
    p = cli.shell("isthmus get all -o json | isthmus diff -")
    assert p.returncode == 0 and p.stderr == "nothing to change\n"
    assert yaml.safe_load(cli.ok("get", "all", "-o", "yaml")) == json.loads(cli.ok("get", "all", "-o", "json"))


def test_run_time_ports_are_part_of_what_get_all_prints(own_cli):
    own_cli.ok(*PORT)
    assert "web9" in yaml.safe_load(own_cli.ok("get", "all", "-o", "yaml"))["ports"]
    p = own_cli.shell("isthmus get all -o yaml | isthmus apply -")
    assert p.returncode == 0 and p.stderr == "nothing to change\n"


def test_diff_says_what_apply_would_do(static_cli):
    path = os.path.join(static_cli.directory, "new.yaml")
    with open(os.path.join(static_cli.directory, "isthmus.yaml")) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("10.0.1.12", "10.0.1.13"))
    p = static_cli.run("diff", path)
    assert p.returncode == 1 and "10.0.1.13" in p.stdout and "10.0.1.12" in p.stdout
    dry = static_cli.run("apply", path, "--dry-run")
    assert dry.returncode == 0 and dry.stdout == p.stdout and "would be made" in dry.stderr
    assert static_cli.run("diff", path).returncode == 1
    plan = json.loads(static_cli.ok("apply", path, "-o", "json"))
    assert plan["changed"] and "\n".join(plan["steps"]) + "\n" == p.stdout and not plan["dryRun"]
    p = static_cli.run("diff", path)
    assert p.returncode == 0 and p.stdout == ""
    assert "10.0.1.13" in static_cli.ok("get", "hosts")


def test_a_change_of_names_alone_is_a_difference_too(own_cli):
    """A port of another node is called otherwise: the data plane has nothing to do, but `get ports` will show it."""
    path = os.path.join(own_cli.directory, "new.yaml")
    with open(path, "w") as f:
        f.write(own_cli.ok("get", "all", "-o", "yaml").replace("web2:", "web3:"))
    p = own_cli.run("diff", path)
    assert p.returncode == 1 and p.stdout.startswith("change names")
    own_cli.ok("apply", path)
    assert own_cli.run("diff", path).returncode == 0
    assert "web3" in own_cli.ok("get", "ports", "-o", "name").split()


def test_a_change_of_bgp_alone_is_a_difference_too(static_cli):
    path = os.path.join(static_cli.directory, "new.yaml")
    with open(path, "w") as f:
        f.write(static_cli.ok("get", "all", "-o", "yaml") + "bgp: {as: 65000}\n")
    p = static_cli.run("diff", path)
    assert p.returncode == 1 and "BGP" in p.stdout
    static_cli.ok("apply", path)
    assert static_cli.run("diff", path).returncode == 0
    assert "\nbgp:\n  as: 65000\n" in static_cli.ok("get", "all", "-o", "yaml")


def test_every_mutating_command_has_a_dry_run_that_changes_nothing(own_cli):
    """Those are the commands that need root: walked through the table by their refusal elsewhere."""
    before = own_cli.ok("get", "all", "-o", "yaml"), generation(own_cli)
    with open(os.path.join(own_cli.directory, "empty.yaml"), "w") as f:
        config = yaml.safe_load(before[0])
        config["ports"] = {}
        f.write(yaml.safe_dump(config))
    for argv in (["apply", "empty.yaml"], PORT):
        text = own_cli.ok(*argv[:2] if argv[0] == "port" else argv[:1], "-h")
        assert "--dry-run" in text
        assert own_cli.ok(*argv, "--dry-run")
        assert (own_cli.ok("get", "all", "-o", "yaml"), generation(own_cli)) == before
    own_cli.ok(*PORT)
    assert own_cli.ok("port", "del", "web9", "--dry-run")
    assert "web9" in own_cli.ok("get", "ports")


def test_port_del_needs_an_answer_or_yes(own_cli):
    own_cli.ok(*PORT)
    p = own_cli.run("port", "del", "web9")
    assert p.returncode == 2 and "add --yes" in p.stderr
    assert "web9" in own_cli.ok("get", "ports")

    def answer(text):
        master, slave = pty.openpty()
        p = subprocess.Popen(
            own_cli.node.ns.argv(["isthmus", "port", "del", "web9"]),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=own_cli.environment,
            start_new_session=True,
        )
        os.close(slave)
        seen = b""
        while b"[y/N]" not in seen:
            assert select.select([master], [], [], 10)[0], seen
            seen += os.read(master, 4096)
        os.write(master, text)
        code = p.wait(10)
        os.close(master)
        return code

    assert answer(b"n\n") == 1
    assert answer(b"\n") == 1
    assert "web9" in own_cli.ok("get", "ports")
    assert answer(b"y\n") == 0
    assert own_cli.run("get", "port", "web9").returncode == 2


def test_an_added_port_is_remembered_and_status_tells_of_it(own_cli):
    own_cli.ok(*PORT)
    p = own_cli.run("status")
    assert p.returncode == 1 and "port web9 is waiting" in p.stdout
    assert own_cli.run("status", "--brief").stdout.startswith("dc1 DEGRADED: port web9 is waiting")
    p = own_cli.run("status", "--wait", "--timeout", "300ms")
    assert p.returncode == 5 and "still DEGRADED" in p.stderr
    own_cli.node.daemon.restart()
    port = json.loads(own_cli.ok("get", "port", "web9", "-o", "json"))
    assert (
        port["source"] == "runtime" and port["state"] == "waiting" and port["addresses"] == ["10.0.1.19", "fd00:1::19"]
    )
    own_cli.node.ns.ip("link add web9 type veth peer name web9w\nlink set web9 up\nlink set web9w up")
    own_cli.ok("status", "--wait", "--timeout", "5s")
    assert own_cli.ok("status", "--brief") == "dc1 OK\n"


@pytest.mark.parametrize(
    "change, wrong",
    [
        (["--network", "red/nix"], "ports.web9.network"),
        (["-m", "no-mac"], "ports.web9.mac"),
        (["-a", "10.0.9.9"], "ports.web9.addresses"),
        (["-m", "02:00:00:00:00:01"], "web1"),
        (["-i", "a-name-that-is-too-long"], "ports.web9.interface"),
    ],
)
def test_a_wrong_port_is_refused_by_the_same_checks(cli, change, wrong):
    argv = ["port", "add", "web9", "-i", "web9", "--network", "red/web", "-m", "02:00:00:00:00:09"]
    for name, value in zip(change[::2], change[1::2]):
        if name in argv:
            argv[argv.index(name) + 1] = value
        else:
            argv += [name, value]
    p = cli.run(*argv)
    assert p.returncode == 2 and p.stdout == "" and wrong in p.stderr and "IST-" in p.stderr
    assert cli.run("get", "port", "web9").returncode == 2


def test_ports_of_the_file_are_not_deleted_by_hand(cli):
    p = cli.run("port", "del", "web1", "--yes")
    assert p.returncode == 2 and "IST-4009" in p.stderr


def test_a_broken_file_changes_nothing(cli):
    before = generation(cli)
    for text in ("version: 1\nnodes: {", "", "\x00", "a: &a [*a]", "- 1"):
        p = cli.run("apply", "-", input=text)
        assert p.returncode == 2 and p.stdout == "", text
        assert "standard input:" in p.stderr and "IST-" in p.stderr
    assert generation(cli) == before


def test_a_file_too_large_is_refused_before_it_is_sent(cli):
    for verb in ("apply", "check", "diff"):
        p = cli.shell(f"head -c 50000000 /dev/zero | isthmus {verb} -")
        assert p.returncode == 2 and "larger than 8 MiB" in p.stderr


def test_drops_are_watched(own_cli):
    p = subprocess.Popen(
        own_cli.node.ns.argv(["isthmus", "drops", "--watch", "-o", "jsonl"]),
        env=own_cli.environment,
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        found = []

        def seen():
            own_cli.lab.host("web1").send_frame() if hasattr(
                own_cli.lab.host("web1"), "send_frame"
            ) else own_cli.lab.host("app1").ping("10.0.2.99", check=False, timeout=1)
            while select.select([p.stdout], [], [], 0)[0]:
                found.append(json.loads(p.stdout.readline()))
            return [e for e in found if e["reason"] == "no_host" and e["dst"] == "10.0.2.99"]

        event = wait_until(seen, 15)[0]
        assert (
            event["port"] == "app1"
            and event["network"] == "red/app"
            and event["protocol"] == "icmp"
            and event["src"] == "10.0.2.11"
        )
        assert event["direction"] == "from-port"
    finally:
        p.terminate()
        p.wait(5)


def test_lists_hold_what_this_node_holds_and_all_the_rest(own_cli):
    """A tenant without a port here is not installed here: `get` leaves it out, --all shows it as what it is."""
    config = yaml.safe_load(own_cli.ok("get", "all", "-o", "yaml"))
    config["tenants"]["blue"] = {"vni": 6000, "networks": {"web": {"mode": "l2", "vni": 6001, "subnets": ["10.7.0.0/24"]}}}
    config["ports"]["blue1"] = {
        "node": "aws1",
        "interface": "blue1",
        "network": "blue/web",
        "mac": "02:00:00:00:07:01",
        "addresses": ["10.7.0.5"],
    }
    own_cli.ok("apply", "-", input=json.dumps(config))
    for kind, key, value in (
        ("hosts", "address", "10.7.0.5"),
        ("macs", "mac", "02:00:00:00:07:01"),
        ("routes", "prefix", "10.7.0.5/32"),
        ("routes", "prefix", "10.7.0.0/24"),
    ):
        assert value not in own_cli.ok("get", kind)
        items = json.loads(own_cli.ok("get", kind, "--all", "-o", "json"))["items"]
        assert [i["installed"] for i in items if i[key] == value] == [False]
        assert any(i["installed"] for i in items)
        named = json.loads(own_cli.ok("get", kind, value, "-o", "json"))["items"]
        assert [(i["installed"], i[key]) for i in named] == [(False, value)]
