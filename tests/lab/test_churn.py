# SPDX-License-Identifier: Apache-2.0
"""Row R10 in a minute (an hour is `make soak CASE=churn`): see tests/soak/churn.py for the picture."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from soak.churn import churn, make_fabric  # noqa: E402
from soak.run import holds, line  # noqa: E402

from lab.room import Lab  # noqa: E402


def test_a_minute_of_churn_loses_and_leaves_nothing(record_property):
    with Lab(make_fabric()) as lab:
        # A machine that is busy with other things makes fewer changes; what is lost or left is judged all the same.
        figures = churn(lab, 60, 5, 6, least=0.1)
    for f in figures:
        print(line(f))
        record_property(f.what, f.value)
    assert [line(f) for f in figures if not holds(f)] == []
