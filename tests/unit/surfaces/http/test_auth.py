"""Who is let in."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import AmbiguousCredentials, FarmError, InvalidApiKey
from farmgate.core.identity import ANONYMOUS, Principal
from farmgate.surfaces.http.auth import RECENT, Doorman, MisdirectedRequest

KEY, OTHER = b"fg-alice-1", b"fg-bob-2"


def doorman(*keys: bytes) -> Doorman:
    return Doorman({hashlib.sha256(key).hexdigest(): key.decode() for key in keys})


LOCKED, OPEN = doorman(KEY, OTHER), doorman()
ALICE = Principal(key_name=KEY.decode())


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        (b"Bearer fg-alice-1", None),
        (b"bearer fg-alice-1", None),
        (b"BEARER   fg-alice-1 ", None),
        (None, b"fg-alice-1"),
    ],
)
def test_a_key_is_known_in_either_header_and_again(authorization: bytes | None, x_api_key: bytes | None) -> None:
    for _ in range(2):
        assert LOCKED.admit(authorization, x_api_key, b"anything.example") == ALICE
    assert LOCKED.needs_key


REFUSED = [
    (None, None),
    (b"", None),
    (b"Bearer", None),
    (b"Bearer ", None),
    (b"Basic ZmctYWxpY2UtMQ==", None),
    (b"fg-alice-1", None),
    (b"Token fg-alice-1", None),
    (b"Bearer fg-alice-12", None),
    (b"Bearer fg-alice", None),
    (b"Bearer FG-ALICE-1", None),
    (b"Bearer fg-alice-1 fg-bob-2", None),
    (b"Bearer " + b"x" * 10_240, None),
    (b"Bearer \xc3\xa4", None),
    (b"Bearer fg-alice-1\0", None),
    (b"Bearer ' OR 1=1 --", None),
    (None, b""),
    (None, b" "),
    (None, b"\xff"),
    (None, b"x" * 513),
    # The stored form of a key is not a key.
    (None, hashlib.sha256(KEY).hexdigest().encode()),
]


@pytest.mark.parametrize(("authorization", "x_api_key"), REFUSED)
def test_no_key_and_every_wrong_one_is_refused(authorization: bytes | None, x_api_key: bytes | None) -> None:
    for _ in range(2):
        with pytest.raises(InvalidApiKey) as caught:
            LOCKED.admit(authorization, x_api_key, b"localhost")
        assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("second", [KEY, OTHER, b"", b"wrong"])
def test_two_credentials_are_one_too_many(second: bytes) -> None:
    with pytest.raises(AmbiguousCredentials) as caught:
        LOCKED.admit(b"Bearer fg-alice-1", second, b"localhost")
    assert (caught.value.status, caught.value.code) == (400, "ambiguous_credentials")


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.none() | st.binary(max_size=40) | st.binary(max_size=20).map(b"Bearer ".__add__),
    st.none() | st.binary(max_size=40),
)
def test_no_other_bytes_open_the_door(authorization: bytes | None, x_api_key: bytes | None) -> None:
    with pytest.raises(FarmError) as caught:
        LOCKED.admit(authorization, x_api_key, b"localhost")
    assert caught.value.status in (400, 401)


def test_only_valid_keys_are_remembered_and_not_without_bound() -> None:
    keys = [f"key-{at}".encode() for at in range(RECENT + 10)]
    door = doorman(*keys)
    for at in range(2000):
        with pytest.raises(InvalidApiKey):
            door.admit(None, f"wrong-{at}".encode(), None)
    assert not door._recent
    for _ in range(2):
        assert [door.admit(None, key, None).key_name.encode() for key in keys] == keys
    assert len(door._recent) == RECENT


@pytest.mark.parametrize(
    "host", [b"localhost", b"LocalHost:8000", b"127.0.0.1", b"127.0.0.1:8000", b"[::1]", b"[::1]:8000"]
)
@pytest.mark.parametrize("authorization", [None, b"Bearer whatever", b"nonsense"])
def test_without_keys_everybody_on_this_machine_is_let_in(host: bytes, authorization: bytes | None) -> None:
    assert OPEN.admit(authorization, None, host) is ANONYMOUS
    assert not OPEN.needs_key


# A web page can make a browser on this machine send requests to 127.0.0.1 under the page's own name (DNS rebinding).
@pytest.mark.parametrize(
    "host",
    [
        *(None, b"", b"evil.example", b"evil.example:8000", b"localhost.evil.example", b"127.0.0.1.evil.example"),
        *(b"evil.example:127.0.0.1", b"127.0.0.1:80:80", b"192.168.1.5", b"testserver", b"0.0.0.0", b"[::1", b":8000"),
    ],
)
def test_without_keys_no_other_name_will_do(host: bytes | None) -> None:
    with pytest.raises(MisdirectedRequest) as caught:
        OPEN.admit(None, None, host)
    assert caught.value.status == 421
