"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Bad input. Its text is one line: the file, what was found, what was wanted, what to do.

    The command line prints it without a traceback and exits with 2.
    """
