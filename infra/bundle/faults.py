"""What can be wrong with a package."""


class BadBundle(Exception):
    """A package cannot be built, or would not run on Lambda. Says how to mend it."""
