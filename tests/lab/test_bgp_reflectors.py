# SPDX-License-Identifier: Apache-2.0
"""Row B7 in seconds (120 of them are `make soak CASE=reflectors`): see tests/soak/reflectors.py for the picture."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak.reflectors import ReflectedLab, dead_for  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    with ReflectedLab(restart_s=60) as lab:
        yield lab


def test_a_dead_reflector_and_then_two_cost_nothing(lab):
    before = lab.lines_of(": down: ")
    assert [r["lost"] for r in dead_for(lab, 3)] == [0, 0, 0, 0]
    after = lab.lines_of(": down: ")
    assert {k: after[k] - before[k] for k in after} == {k: 1 for k in after}
