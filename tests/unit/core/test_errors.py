"""Errors, apart from what they say."""

from __future__ import annotations

import gc
import weakref

from farmgate.core.errors import UpstreamError, let_go


class Kept:
    """What a request was working with."""

    failure: BaseException | None = None


def work(kept: Kept) -> None:
    try:
        raise ConnectionError("gone")
    except ConnectionError as error:
        kept.failure = error
        raise UpstreamError from error


def test_an_error_that_was_let_go_keeps_nothing_alive_that_keeps_it() -> None:
    kept = Kept()
    gone = weakref.ref(kept)
    gc.disable()
    try:
        try:
            work(kept)
        except UpstreamError as error:
            kept.failure = error
            let_go(error)
        del kept
        assert gone() is None
    finally:
        gc.enable()


def test_errors_that_led_to_each_other_have_an_end() -> None:
    first, second = UpstreamError("first"), UpstreamError("second")
    for error in (first, second):
        try:
            raise error
        except UpstreamError:
            pass
    first.__cause__, second.__cause__ = second, first
    let_go(first)
    assert first.__traceback__ is second.__traceback__ is None
