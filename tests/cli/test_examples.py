# SPDX-License-Identifier: Apache-2.0
"""Every command explains itself, and every example in its help works as it stands there."""
import pathlib
import re

import pytest

from lab.wireguard import key_pair

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands(cli):
    """The leaves of the command table, as completion knows them."""
    for word in cli.ok("__complete", "").split():
        rest = cli.ok("__complete", word, "").split() if word in ("port", "bgp", "key", "peer") else []
        yield from ([f"{word} {r}" for r in rest] or [word])


def help_of(cli, command):
    return cli.ok(*command.split(), "-h")


def examples(text):
    part = text.split("Examples:\n")[1].split("\nUsage:")[0]
    return [" ".join(e.replace("\\\n", " ").split()) for e in re.findall(r"^  (isthmus(?:.*\\\n)*.*)$", part, re.M)]


def test_every_command_begins_its_help_with_an_example(cli):
    found = list(commands(cli))
    assert {"status", "get", "apply", "port add", "port del", "doctor", "completion"} <= set(found)
    for command in found:
        text = help_of(cli, command)
        assert text.index("Examples:") < text.index("Usage:")
        assert examples(text), command
        assert max(map(len, text.splitlines())) <= 80, command
        assert text == cli.ok("help", *command.split())


def test_overview_fits_the_screen(cli):
    assert max(map(len, cli.ok("-h").splitlines())) <= 80
    p = cli.run()
    assert p.returncode == 2 and p.stdout == "" and "Commands:" in p.stderr


def give_laptop(cli):
    """A peer of that name, and its key in a file."""
    private, public = key_pair()
    config = cli.lab.fabric.config
    config["nodes"]["dc1"]["public_key"] = cli.ok("key", "show").strip()
    config["peers"] = {"laptop": {"node": "dc1", "network": "red/app", "public_key": public, "addresses": ["10.0.2.100"]}}
    with open(pathlib.Path(cli.directory) / "laptop.key", "w") as f:
        f.write(private + "\n")
    cli.lab.apply()


def test_every_example_runs(own_cli):
    """In the order of the table: `port add` comes before `port del`."""
    give_laptop(own_cli)
    ran = 0
    for command in commands(own_cli):
        for line in examples(help_of(own_cli, command)):
            p = own_cli.shell("set -o pipefail; " + line)
            assert p.returncode == 0, f"{line}: exit {p.returncode}\n{p.stdout}{p.stderr}"
            assert p.stdout or p.stderr, line
            ran += 1
            if line.startswith("isthmus port add") and "--dry-run" not in line:
                # The example's interface, so that later examples find a node that is well.
                own_cli.node.ns.ip("link add web9 type veth peer name web9w\nlink set web9 up\nlink set web9w up")
                own_cli.ok("status", "--wait", "--timeout", "5s")
    assert ran >= 25


@pytest.mark.parametrize(
    "argv, hint",
    [
        (["staus"], 'did you mean "status"?'),
        (["get", "prots"], 'did you mean "ports"?'),
        (["get", "n"], "kinds: sites, nodes"),
        (["status", "--weit"], "did you mean --wait?"),
        (["get"], "KIND is missing"),
        (["get", "ports", "web1", "web2"], "is too much"),
        (["port"], '"add" or "del" must follow'),
        (["port", "add", "x"], "--interface DEVICE is missing"),
        (["status", "-o", "xml"], "expected one of table, json"),
        (["explain", "-o", "json"], "-o is not possible"),
        (["status", "--wait", "--timeout", "soon"], "expected a time such as 30s"),
        (["status", "-o"], "--output needs a value"),
        (["status", "--brief=yes"], "takes no value"),
        (["status", "-o", "json", "-o", "yaml"], "is given twice"),
        (["check", "/nowhere/x.yaml"], "No such file"),
        (["explain", "tenats"], 'did you mean "tenants'),
        (["completion", "tcsh"], "is not bash, zsh or fish"),
    ],
)
def test_bad_usage_ends_with_2_and_the_next_step(cli, argv, hint):
    p = cli.run(*argv)
    assert p.returncode == 2
    assert p.stdout == ""
    assert hint in p.stderr
    assert re.search(r"\(IST-60\d\d\)$", p.stderr.splitlines()[0])


@pytest.mark.parametrize("argv", [["bgp", "-h"], ["bgp", "--help"], ["help", "bgp"], ["-h", "bgp"]])
def test_help_on_what_several_commands_begin_with_names_them(cli, argv):
    p = cli.run(*argv)
    assert (p.returncode, p.stderr) == (0, "")
    verbs = [line.split()[2] for line in p.stdout.splitlines() if line.startswith("isthmus bgp ")]
    assert {"summary", "why", "free"} <= set(verbs)
    lacking = cli.run("bgp").stderr.splitlines()[0]
    assert all(f'"{v}"' in lacking for v in verbs)


@pytest.mark.parametrize("argv", [["get", "port"], ["get", "po"], ["get", "ports"], ["get", "por"]])
def test_kinds_may_be_shortened(cli, argv):
    assert "web1" in cli.ok(*argv)


@pytest.mark.parametrize(
    "argv", [["-o", "json", "status"], ["status", "-ojson"], ["status", "--output=json"], ["status", "-bo", "json"]]
)
def test_options_stand_anywhere(cli, argv):
    assert cli.ok(*argv).startswith("{")


def test_every_code_of_the_program_is_in_the_manual(cli, build):
    source = (ROOT / "src" / "cli" / "cli.h").read_text()
    numbers = re.findall(r"X\([A-Z_]+, (\d{4}), CODE_", source)
    manual = (pathlib.Path(build) / "doc" / "isthmus.1").read_text()
    assert len(numbers) > 10
    assert re.findall(r"^\.It IST\\-(\d{4})$", manual, re.M) == numbers


def test_the_manual_is_that_of_the_program(cli, build):
    """doc/isthmus.1 is made by the program: every command, argument and option is in it."""
    manual = (pathlib.Path(build) / "doc" / "isthmus.1").read_text()
    assert manual == cli.ok("--mdoc")
    for command in commands(cli):
        assert f".Ss {command}\n" in manual
        for option in re.findall(r"--([a-z-]+)", help_of(cli, command).split("Options:")[1]):
            assert f"\\-{option}" in manual
