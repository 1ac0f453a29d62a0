# SPDX-License-Identifier: BSD-3-Clause
"""How cases are declared. A case is a function that gets a Scale and raises when something is wrong;
the text it returns is what it measured, for people to read: nothing is asserted about time."""
import random


class Scale:
    """How much of everything: the short form of the loop, or the counts of the soak."""

    def __init__(self, soak, seed, factor=1.0):
        self.soak, self.factor = soak, factor
        self.random = random.Random(seed)

    def count(self, short, soak):
        return max(1, round(soak * self.factor)) if self.soak else short

    def between(self, low, high):
        return self.random.uniform(low, high)


_cases = []


def case(name, soak_only=False):
    """Declares a case; soak_only: too long for the short form."""
    def register(function):
        _cases.append((name, function, soak_only))
        return function
    return register


def all_cases():
    return list(_cases)
