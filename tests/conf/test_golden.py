# SPDX-License-Identifier: Apache-2.0
"""Wrong configurations and their exact error texts; right ones and what they mean.

bad/NAME.yaml has its errors in bad/NAME.err.  good/NAME.yaml loads; good/NAME.out, where there is one, is what --emit
makes of it.  NAME.runtime.yaml holds run-time ports that are loaded with it.  GOLDEN=write writes the expectations
anew: read the difference before you commit it.
"""
import os
import re

import pytest

from conftest import ROOT, configurations, sources

BAD = configurations("bad")
GOOD = configurations("good")
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
LINE = re.compile(r"^[^:\n]+:[1-9][0-9]*:[1-9][0-9]*: (\(file\)|\S.*?): .+; expected .+ \(IST-([1-4][0-9]{3})\)$")


def compare(golden, text):
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_wrong_configuration_has_its_exact_errors(conf_check, path):
    done = conf_check(*sources(path), cwd=path.parent)
    text = done.stderr.decode()
    assert done.returncode == 2 and not done.stdout, text
    compare(path.with_suffix(".err"), text)
    lines = text.splitlines()
    assert 1 <= len(lines) <= 100
    for line in lines:
        assert LINE.match(line), f"not FILE:LINE:COLUMN: PATH: WHAT; expected ... (CODE): {line}"
    places = [(file != path.name, int(row), int(column)) for file, row, column in (x.split(":")[:3] for x in lines)]
    assert places == sorted(places)


def test_there_are_enough_of_them():
    assert len(BAD) >= 70 and len(GOOD) >= 15


def test_every_error_code_is_provoked_by_one():
    number = re.compile(r"^\s*X\([A-Z0-9_]+, ([0-9]+),", re.M)
    known = set(number.findall((ROOT / "src" / "conf" / "schema.h").read_text()))
    seen = set()
    for path in BAD:
        seen |= set(re.findall(r"\(IST-([0-9]+)\)$", path.with_suffix(".err").read_text(), re.M))
    big = {"1003", "1005", "4012", "4016"}  # made by test_limits.py
    assert seen | big == known


@pytest.mark.parametrize("path", GOOD + EXAMPLES, ids=lambda p: p.stem)
def test_right_configuration_loads_and_survives_a_round_trip(conf_check, path, tmp_path):
    done = conf_check("--emit", *sources(path), cwd=path.parent)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    golden = path.with_suffix(".out")
    if golden.exists():
        compare(golden, done.stdout.decode())
    again = tmp_path / "again.yaml"
    again.write_bytes(done.stdout)
    assert conf_check("--emit", str(again)).stdout == done.stdout
