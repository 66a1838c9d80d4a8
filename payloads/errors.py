"""What can go wrong with a payload; every message is one clear line for a person."""


class PayloadError(Exception):
    """Something about a payload that its user can do something about."""


class Unreadable(PayloadError):
    """The file can't be read: missing, a directory, no permission, no regular file, too big."""


class NotRunnable(PayloadError):
    """The bytes are no payload that can be run; the message says why."""


class MissingPart(PayloadError):
    """Something that is needed is missing; the message says what, and what to install or do."""


class UnknownName(PayloadError):
    """No payload of the catalogue has this name; the message lists close matches."""
