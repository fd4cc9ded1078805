# SPDX-License-Identifier: Apache-2.0
"""What else comes out of the one table: the JSON schema for editors, the manual's reference, `explain`."""
import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from conftest import ROOT, configurations


class PlainLoader(yaml.SafeLoader):
    """YAML 1.2's core types only: true and false, decimal integers, null; all else is text, as the schema reads it."""


PlainLoader.yaml_implicit_resolvers = {}
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789"))
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])


@pytest.fixture(scope="module")
def validator(conf_check):
    schema = json.loads(conf_check("--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def load(path):
    return yaml.load(path.read_bytes(), PlainLoader)


def is_typed_alike(path):
    """Not where a name is a word that YAML takes for a number, nor where PyYAML reads less than libyaml."""
    return path.stem not in ("names_that_look_like_other_types", "tabs_between_values")


RIGHT = [p for p in configurations("good") + sorted((ROOT / "examples").glob("*.yaml")) if is_typed_alike(p)]


@pytest.mark.parametrize("path", RIGHT, ids=lambda p: p.stem)
def test_schema_accepts_what_loads(validator, path):
    validator.validate(load(path))


# What a schema can tell: keys, kinds, words, numbers, patterns; not byte values, ranges of addresses, or other objects.
SCHEMA_CODES = {2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009, 2010, 2011, 2012, 2017, 2019, 2020, 2021, 2022}
NOT_SAID = {"missing_interface", "missing_l3_addresses", "empty_l3_addresses", "foreign_port_with_interface",
            "foreign_port_with_security", "address_mapped", "storm_limit_of_l3_port", "storm_limit_of_foreign_port",
            "bgp_neighbor_all_beside_names", "bgp_neighbor_node_foreign",
            "name_with_newline"}  # $ of Python, unlike ECMA 262's, matches before a last newline


def codes(path):
    if not path.with_suffix(".err").exists():
        return {0}  # test_golden.py has something to say about that
    return {int(c) for c in re.findall(r"\(IST-(\d+)\)$", path.with_suffix(".err").read_text(), re.M)}


WRONG = [p for p in configurations("bad") if codes(p) <= SCHEMA_CODES and p.stem not in NOT_SAID
         and not p.with_suffix(".runtime.yaml").exists()]


@pytest.mark.parametrize("path", WRONG, ids=lambda p: p.stem)
def test_schema_refuses_what_it_can_see(validator, path):
    assert list(validator.iter_errors(load(path)))


def test_the_schema_was_tried_on_enough():
    assert len(WRONG) > 60


def test_reference_is_clean_mdoc(conf_check, tmp_path):
    page = tmp_path / "reference.5"
    page.write_bytes(b".Dd $Mdocdate$\n.Dt ISTHMUS.YAML 5\n.Os\n.Sh NAME\n.Nm isthmus.yaml\n.Nd reference\n.Sh KEYS\n"
                     + conf_check("--mdoc").stdout)
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = subprocess.run(["mandoc", "-T", "utf8", str(page)], capture_output=True, text=True, check=True).stdout
    plain = re.sub(".\b", "", text)
    for key in ("gateway_mac", "underlay", "port_security", "router-advertisement", "4789"):
        assert key in plain


def test_explain_tells_what_errors_need(conf_check):
    text = conf_check("--explain", "nodes.dc1.underlay").stdout.decode()
    assert "nodes.<node>.underlay" in text and "required" in text and "example:" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    missing = conf_check("--explain", "underlya")
    assert missing.returncode == 2 and b"did you mean underlay" in missing.stderr
    for line in conf_check("--explain").stdout.decode().splitlines():
        assert len(line) <= 80
