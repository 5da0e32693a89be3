"""What every error says of itself."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "FarmError",
    "let_go",
]


class FarmError(Exception):
    """Something went wrong."""

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, param: str | None = None, retry_after_s: float | None = None) -> None:
        """`message` replaces the class docstring; `param` names the offending field as the caller wrote it."""
        self.message = message or type(self).__doc__ or type(self).__name__
        self.param = param
        self.retry_after_s = retry_after_s
        self.request_id: str | None = None
        """Under which its caller and the log know it; set where it is told."""
        self.attempts = 0
        """How often a provider was asked before this was told; 0 where that is not known."""
        self.should_retry: bool | None = None
        """False: the gate has tried again itself, and a caller who does so at once would only multiply the calls."""
        super().__init__(self.message)


def let_go(error: BaseException | None) -> None:
    """Forget where an error, and what led to it, was raised.

    Its frames keep alive what they were working for, which keeps the error: a circle that waits for the collector, with
    all of a request in it.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
