"""Keys of schedules: what they may be. A schedule's KEYS name its keys, each as (value where nothing is said, check), where a
check is a function from the key's name and value that raises InputError if the value cannot be meant.
"""

import numbers

from espalier.errors import InputError


def word(*known):
    """One of these words (or of False and True)."""

    def check(name, value):
        if value not in known:
            raise InputError(f"{name} must be {' or '.join(str(one).lower() for one in known)}, got {value!r}")

    return check


def whole(least):
    """A whole number, at least so large."""

    def check(name, value):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            told = "not negative" if least == 0 else f"at least {least}"
            raise InputError(f"{name} must be a whole number, {told}, got {value!r}")

    return check


def optional(check):
    """None, or what another check allows."""

    def check_unless_none(name, value):
        if value is not None:
            check(name, value)

    return check_unless_none


def number(low, high, told):
    """A number from `low` to `high`; told: what it is, in words."""

    def check(name, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
            raise InputError(f"{name} must be {told}, got {value!r}")

    return check
