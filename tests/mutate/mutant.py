# SPDX-License-Identifier: Apache-2.0
"""One bug; list.py says what its members are."""
import collections

Mutant = collections.namedtuple("Mutant", "name file old new why tests")
