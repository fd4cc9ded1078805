# SPDX-License-Identifier: Apache-2.0
"""Row R7: allocations of the daemon fail, one after the other, in every verb; see tests/soak/memory.py for the rig.

Here the first few of each verb and then ever fewer; all up to the 5,000th by `make soak CASE=memory`.
"""
import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak import memory  # noqa: E402


def sample(first, factor):
    """1 ... first, then each larger than the one before by the factor."""
    return [*range(1, first + 1), *map(int, itertools.takewhile(lambda n: n <= memory.LAST, (
        first * factor**i for i in range(1, 1000))))]


@pytest.fixture(scope="module")
def rig():
    with memory.rig() as made:
        made.reference = memory.references(made)
        made.start()
        yield made


@pytest.mark.parametrize("verb", memory.READS, ids=lambda v: v.name)
def test_a_question_survives_any_allocation_that_fails(rig, verb):
    assert memory.run_verb(rig, verb, rig.reference, sample(8, 1.5)) > 5


@pytest.mark.parametrize("verb", memory.CHANGES, ids=lambda v: v.name)
def test_a_change_is_whole_or_not_at_all_whichever_allocation_fails(rig, verb):
    assert memory.run_verb(rig, verb, rig.reference, sample(4, 1.6)) > 3


def test_a_start_works_or_ends_in_order_whichever_allocation_fails(rig):
    rig.end()
    fired = sum(memory.start_point(rig, rig.reference, n) for n in sample(2, 2))
    rig.start()
    assert fired > 5
