# SPDX-License-Identifier: Apache-2.0
"""The bugs that `make mutate` plants fit the tree: who changes a line that one is planted in changes the list too."""
import importlib.util
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load():
    spec = importlib.util.spec_from_file_location("mutate_run", os.path.join(ROOT, "tests", "mutate", "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_planted_bug_has_its_place():
    assert load().problems() == []


def test_they_are_many_and_everywhere():
    mutants = load().MUTANTS
    assert len(mutants) >= 30
    assert {m.file.split("/")[1] for m in mutants} >= {"bpf", "dp", "rib", "agent", "conf", "api", "kern", "lib"}
    assert all(m.old != m.new and m.why and m.tests for m in mutants)
