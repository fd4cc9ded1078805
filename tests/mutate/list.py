# SPDX-License-Identifier: Apache-2.0
"""Bugs that somebody could make, as data for run.py.

Each stands in the source as `old`, exactly once in its file, and is planted as `new`.  `tests` are what should see it,
quickest first: "unit rib" and "bpf wire" are programs of these tiers, "lab test_x.py" and so on files (a "-k word" may
follow).  When none of them does, the whole tiers of theirs are run.  Short old texts live longest.
"""
import control
import encryption
import forwarding

MUTANTS = [*forwarding.MUTANTS, *control.MUTANTS, *encryption.MUTANTS]
