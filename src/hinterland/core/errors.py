"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do.

    The command line prints the message as one sentence and exits with status 2; nothing else in
    the package catches it.
    """
