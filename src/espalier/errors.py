"""The one exception that a user's input raises."""


class InputError(ValueError):
    """Bad input, told in one line that names the offender and the remedy.

    The command line prints the message alone, without a traceback, and exits with 2.
    """
