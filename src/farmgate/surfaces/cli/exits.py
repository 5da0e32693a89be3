"""Exit codes: one number per kind of failure, so that scripts can tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from farmgate.core.errors import BadRequest, FarmError, InvalidValue

__all__ = ["Exit", "WrongUse", "exit_of"]


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    ERROR = 1
    USAGE = 2
    CONFIG = 3
    AUTH = 4
    NOT_FOUND = 5
    UNREACHABLE = 6
    LIMIT = 7
    INTERRUPTED = 130


class WrongUse(BadRequest):
    """The command line is wrong."""

    code = "usage"


# A code says more than a status: a provider that refused our key answers 502 to our own callers.
BY_CODE: Mapping[str, Exit] = {
    "config_invalid": Exit.CONFIG,
    "upstream_auth_failed": Exit.AUTH,
    "overloaded": Exit.LIMIT,
    # Of a job that failed the code is all there is.
    "model_not_found": Exit.NOT_FOUND,
    "engine_unavailable": Exit.UNREACHABLE,
    "unavailable": Exit.UNREACHABLE,
    "upstream_unreachable": Exit.UNREACHABLE,
    "usage": Exit.USAGE,
}
BY_STATUS: Mapping[int, Exit] = {
    401: Exit.AUTH,
    403: Exit.AUTH,
    402: Exit.LIMIT,
    404: Exit.NOT_FOUND,
    429: Exit.LIMIT,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}


def exit_of(error: BaseException) -> Exit:
    """The exit code for what ended a command."""
    from farmgate.config import ConfigError

    match error:
        case ConfigError():
            return Exit.CONFIG
        case InvalidValue(param="provider" | "version"):
            # To an HTTP caller a wrong field; at the command line a name that is not there, as a model's would be.
            return Exit.NOT_FOUND
        case FarmError():
            return BY_CODE.get(error.code) or BY_STATUS.get(error.status, Exit.ERROR)
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case _:
            return Exit.ERROR
