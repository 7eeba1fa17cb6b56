"""The one exception that a user's input raises, and one doubt about it."""


class InputError(ValueError):
    """Bad input, told in one line that names the offender and the remedy.

    The command line prints the message alone, without a traceback, and exits with 2.
    """


def doubt(percent):
    """What is to be said of a percent that may be meant as a share, or None."""
    if 0 < percent < 1:
        return f"percent={percent:g} removes {percent:g} % of the weights; for {100 * percent:g} % say {100 * percent:g}"
    return None
