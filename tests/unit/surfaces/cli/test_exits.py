"""Every kind of failure ends with its own exit code."""

from __future__ import annotations

import pytest

from farmgate.config import ConfigError
from farmgate.core import errors
from farmgate.surfaces.cli.exits import Exit, WrongUse, exit_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("farm.config.yaml:1: no"), Exit.CONFIG),
        (errors.InvalidApiKey(), Exit.AUTH),
        (errors.UpstreamRefusedKey(), Exit.AUTH),
        (errors.ModelNotFound(), Exit.NOT_FOUND),
        (errors.JobNotFound(), Exit.NOT_FOUND),
        (errors.UpstreamUnreachable(), Exit.UNREACHABLE),
        (errors.UpstreamTimeout(), Exit.UNREACHABLE),
        (errors.UpstreamStreamTruncated(), Exit.UNREACHABLE),
        (errors.EngineUnavailable(), Exit.UNREACHABLE),
        (errors.UpstreamRateLimited(), Exit.LIMIT),
        (errors.Overloaded(), Exit.LIMIT),
        (errors.UpstreamRejected("no", status=404, type_="", code=None), Exit.NOT_FOUND),
        (errors.UpstreamRejected("no", status=402, type_="", code=None), Exit.LIMIT),
        (errors.InvalidValue(), Exit.ERROR),
        (errors.InvalidValue(param="provider"), Exit.NOT_FOUND),
        (errors.InvalidValue(param="version"), Exit.NOT_FOUND),
        (WrongUse(), Exit.USAGE),
        (errors.InternalError(), Exit.ERROR),
        (OSError("no"), Exit.ERROR),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (ZeroDivisionError(), Exit.ERROR),
    ],
)
def test_each_failure_has_its_exit_code(error: BaseException, code: Exit) -> None:
    assert exit_of(error) is code


def test_the_numbers_are_those_people_script_against() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "CONFIG": 3,
        "AUTH": 4,
        "NOT_FOUND": 5,
        "UNREACHABLE": 6,
        "LIMIT": 7,
        "INTERRUPTED": 130,
    }
