# SPDX-License-Identifier: Apache-2.0
"""Tables, JSON and YAML say the same; JSON keeps to its schemas; output behaves in a pipe."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ["sites", "nodes", "tenants", "networks", "ports", "macs", "hosts", "routes", "drops"]


def tools_schemas():
    loader = importlib.machinery.SourceFileLoader("schemas", str(ROOT / "tools" / "schemas"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("schemas", loader))
    loader.exec_module(module)
    return module


def rows(table):
    """Cells of a table by heading; columns are at least two blanks apart, and cells hold single ones at most."""
    lines = table.rstrip("\n").split("\n")
    return [dict(zip(re.split(r"\s{2,}", lines[0].strip()), re.split(r"\s{2,}", line.strip()))) for line in lines[1:]]


def cell(value):
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


# heading -> key where they are not the same word
KEYS = {
    "INTERFACE": ("interface", "path.interface"),
    "MTU": ("mtu", "path.mtu"),
    "LOCAL": ("localPorts",),
    "RX-PACKETS": ("rxPackets",),
    "TX-PACKETS": ("txPackets",),
    "STORM-LIMIT": ("stormLimit",),
}
MOVING = {"RX-PACKETS", "TX-PACKETS", "PACKETS"}


def look(item, heading):
    for key in KEYS.get(heading, (heading.lower(),)):
        value = item
        for part in key.split("."):
            value = (value or {}).get(part) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_table_json_and_yaml_show_the_same(cli, kind):
    items = json.loads(cli.ok("get", kind, "-o", "json"))["items"]
    assert items
    for form in ("table", "wide"):
        shown = rows(cli.ok("get", kind, "-o", form))
        assert len(shown) == len(items)
        for row, item in zip(shown, items):
            for heading, text in row.items():
                if heading not in MOVING:
                    assert text == cell(look(item, heading)), f"{heading} of {item['name']}"
    in_yaml = yaml.safe_load(cli.ok("get", kind, "-o", "yaml"))["items"]
    lines = [json.loads(line) for line in cli.ok("get", kind, "-o", "jsonl").splitlines()]
    moving = {"packets", "rxPackets", "rxBytes", "txPackets", "txBytes"}
    still = [{k: v for k, v in i.items() if k not in moving} for i in items]
    assert [{k: v for k, v in i.items() if k not in moving} for i in in_yaml] == still
    assert [{k: v for k, v in i.items() if k not in moving} for i in lines] == still
    assert cli.ok("get", kind, "-o", "name").split() == [i["name"] for i in items]


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_can_be_had_by_its_name(cli, kind):
    for name in cli.ok("get", kind, "-o", "name").split():
        got = json.loads(cli.ok("get", kind, name, "-o", "json"))
        assert name in [i["name"] for i in got.get("items", [got])]
        assert rows(cli.ok("get", kind, name))
        assert name in cli.ok("describe", kind, name)


def test_objects_have_exactly_the_fields_of_their_schemas(cli):
    """The published schemas allow more keys, for later; the ones of today are complete."""
    seen = set()

    def strict(s):
        if isinstance(s, dict):
            s = {k: strict(v) for k, v in s.items()}
            if s.get("type") == "object":
                s["additionalProperties"] = False
        return [strict(v) for v in s] if isinstance(s, list) else s

    def check(value):
        schema = json.loads((ROOT / "doc" / "schema" / f"{value['kind']}.json").read_text())
        jsonschema.Draft202012Validator(strict(schema)).validate(value)
        seen.add(value["kind"])

    cli.lab.host("web1").ping("10.0.1.77", check=False)
    for kind in KINDS:
        for line in cli.ok("get", kind, "-o", "jsonl").splitlines():
            check(json.loads(line))
    for argv in (["status"], ["drops"], ["doctor"], ["version"], ["key", "show"], ["diff", "isthmus.yaml"], ["check", "isthmus.yaml"]):
        check(json.loads(cli.ok(*argv, "-o", "json")))
    for argv in (["neighbors"], ["routes"], ["advertised", "aws1"], ["why", "10.0.1.11"]):
        for line in cli.ok("bgp", *argv, "-o", "jsonl").splitlines():
            check(json.loads(line))
    check(json.loads(cli.run("check", "-", "-o", "json", input="version: 2\n").stdout))
    check(json.loads(cli.shell("curl -s --unix-socket $ISTHMUS_RUN_DIR/isthmus.sock http://x/v1/version").stdout))
    # Nothing is encrypted here; tests/lab/test_keys.py and test_peers.py hold these to their schemas.
    assert seen | {"Tunnel", "Peer"} == {p.stem for p in (ROOT / "doc" / "schema").glob("*.json")}


def test_published_schemas_are_those_of_the_program():
    schemas = tools_schemas()
    for kind in schemas.kinds():
        assert (ROOT / "doc" / "schema" / f"{kind}.json").read_text() == schemas.text(
            kind
        ), f"{kind}: run tools/schemas"


def test_no_field_was_ever_removed():
    """Additive only: every field of the last release's schema (or, without one, of the last commit's) is still there."""
    tag = (
        subprocess.run(
            ["git", "describe", "--tags", "--abbrev=0"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
        or "HEAD"
    )
    for path in sorted((ROOT / "doc" / "schema").glob("*.json")):
        old = subprocess.run(["git", "show", f"{tag}:doc/schema/{path.name}"], cwd=ROOT, capture_output=True, text=True)
        if old.returncode:
            continue
        now = json.loads(path.read_text())["properties"]
        for key, value in json.loads(old.stdout)["properties"].items():
            assert key in now and now[key].get("type") == value.get("type"), f"{path.name}: {key}"


def in_terminal(cli, argv, env=None):
    """What the command writes when its standard output is a terminal."""
    master, slave = pty.openpty()
    p = subprocess.Popen(
        cli.node.ns.argv(["isthmus", *argv]),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**cli.environment, **(env or {})},
    )
    os.close(slave)
    out = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(master)
    assert p.wait(10) == 0
    return out.decode()


def test_colour_is_for_terminals_and_can_be_refused(cli):
    assert "\033[" in in_terminal(cli, ["get", "ports"])
    assert "\033[" in in_terminal(cli, ["status"])
    for argv, env in (
        (["get", "ports"], {"NO_COLOR": "1"}),
        (["get", "ports", "--no-color"], {}),
        (["status"], {"NO_COLOR": "1"}),
    ):
        assert "\033[" not in in_terminal(cli, argv, env)
    for argv in (["get", "ports"], ["status"], ["doctor"], ["drops"]):
        p = cli.run(*argv)
        assert "\033" not in p.stdout + p.stderr


def test_a_closed_pipe_is_no_error(cli):
    p = cli.shell("isthmus get routes -o jsonl | head -1; echo ${PIPESTATUS[0]}")
    assert p.stderr == "" and p.stdout.splitlines()[0].startswith("{")
    # Nobody reads at all, and the parent ignores SIGPIPE, as Python does.
    for argv in (["get", "ports"], ["get", "ports", "-o", "json"], ["status"], ["-h"], ["explain"]):
        reader, writer = os.pipe()
        os.close(reader)
        p = subprocess.run(
            cli.node.ns.argv(["isthmus", *argv]),
            stdout=writer,
            stderr=subprocess.PIPE,
            env=cli.environment,
            restore_signals=False,
        )
        os.close(writer)
        assert (p.returncode, p.stderr) == (-signal.SIGPIPE, b""), argv


def test_a_full_disk_is_an_error(cli):
    p = cli.shell("isthmus get ports > /dev/full")
    assert p.returncode != 0 and "No space left" in p.stderr


def test_data_and_messages_go_apart(cli):
    p = cli.run("get", "port", "nix")
    assert p.returncode == 2 and p.stdout == "" and 'nothing is called "nix" (IST-4041)' in p.stderr
    p = cli.run("diff", "isthmus.yaml")
    assert p.stdout == "" and p.stderr == "nothing to change\n"


@pytest.mark.parametrize(
    "name", ["no", "1e3", "a: b", "x y", "ünï 😀", "'\"\\", "~", "0x1f", "2026-01-01", "#c", "{a}", "[", "&a", "*a", "%"]
)
def test_yaml_reads_back_whatever_a_string_holds(cli, name):
    """A file's name is quoted in a report: the worst string that gets into our YAML."""
    path = os.path.join(cli.directory, name)
    with open(path, "w") as f:
        f.write("version: 1\n")
    for given in (name, path):
        assert yaml.safe_load(cli.run("check", given, "-o", "yaml").stdout)["file"] == given
    os.unlink(path)
