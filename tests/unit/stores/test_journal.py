"""The journal: every call that began is on record, whatever happens to the process that wrote it."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farmgate.core.usage import Call, Outcome
from farmgate.stores import journal as module
from farmgate.stores.journal import FileJournal, MemoryJournal, read_calls

HEAD = """
import sys
from pathlib import Path
from farmgate.core.usage import Call, Outcome
from farmgate.stores.journal import FileJournal

def call(id):
    return Call(id=id, key_name="k", kind="chat", provider="p", model="m", stream=False, began_unix=1.0)

def say(text):
    print(text, flush=True)

journal = FileJournal(Path(sys.argv[1]))
"""
WRITES_WITHOUT_END = HEAD + textwrap.dedent("""
    number = 0
    while True:
        number += 1
        one = call(f"{number}")
        journal.began(one)
        say(f"b {number}")
        one.outcome = Outcome.OK
        journal.ended(one)
        say(f"e {number}")
    """)
HOLDS_ONE = HEAD + textwrap.dedent("""
    journal.began(call("theirs"))
    say("ready")
    sys.stdin.read()
    """)


def a_call(id: str, *, model: str = "m", outcome: Outcome = Outcome.OPEN) -> Call:
    return Call(
        id=id, key_name="k", kind="chat", provider="p", model=model, stream=True, began_unix=1.5, outcome=outcome
    )


def write(journal: FileJournal, *ids: str, outcome: Outcome = Outcome.OK) -> None:
    for name in ids:
        one = a_call(name)
        journal.began(one)
        one.outcome = outcome
        journal.ended(one)


def outcomes(directory: Path) -> dict[str, Outcome]:
    """By id; every id once."""
    calls = list(read_calls(directory))
    assert len({call.id for call in calls}) == len(calls)
    return {call.id: call.outcome for call in calls}


def segments(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def die(journal: FileJournal) -> None:
    """What the end of the process does: memory and locks go, nothing is written any more."""
    segment = journal._segment
    if segment._memory is not None:
        segment._memory.close()
    os.close(segment._file)


@contextmanager
def child(source: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# ------------------------------------------------------------------------------------------------ there and back


def test_everything_a_call_says_is_read_back(tmp_path: Path) -> None:
    call = Call(
        id="1",
        asked_id="theirs",
        key_name='k"\n\N{PARTY POPPER}',
        kind="chat",
        provider="p",
        model="a/b:c",
        stream=True,
        began_unix=1700000000.123,
    )
    journal = FileJournal(tmp_path)
    journal.began(call)
    call.outcome, call.code = Outcome.ERROR, "upstream_timeout"
    call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.cache_write_tokens = 7, 3, 2, 1
    call.estimated = True
    call.first_token_ms, call.duration_ms = 12.34, 56.78
    journal.ended(call)
    journal.close()
    assert list(read_calls(tmp_path)) == [call]


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.ERROR, Outcome.CANCELLED])
def test_every_outcome_is_read_back(tmp_path: Path, outcome: Outcome) -> None:
    journal = FileJournal(tmp_path)
    write(journal, "1", outcome=outcome)
    assert outcomes(tmp_path) == {"1": outcome}
    journal.close()
    assert outcomes(tmp_path) == {"1": outcome}


def test_calls_come_back_in_the_order_they_ended_and_the_open_ones_last(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    calls = {name: a_call(name) for name in "abc"}
    for call in calls.values():
        journal.began(call)
    for name in "cb":
        calls[name].outcome = Outcome.OK
        journal.ended(calls[name])
    assert [call.id for call in read_calls(tmp_path)] == ["c", "b", "a"]
    journal.close()


def test_there_is_nothing_where_nothing_was_written(tmp_path: Path) -> None:
    assert outcomes(tmp_path / "nowhere") == {}
    journal = FileJournal(tmp_path / "a" / "b")
    assert outcomes(tmp_path / "a" / "b") == {}
    journal.close()
    assert segments(tmp_path / "a" / "b") == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = FileJournal(tmp_path, segment_bytes=200)
        write(journal, *map(str, range(10)))
    finally:
        os.umask(before)
    assert len(segments(tmp_path)) > 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path)} == {0o600}
    journal.close()


def test_closing_cuts_off_what_was_not_written(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    write(journal, "1")
    (segment,) = segments(tmp_path)
    assert segment.stat().st_size == module.Segment.STEP
    journal.close()
    journal.close()
    assert segment.read_bytes().count(b"\n") == 2
    assert b"\0" not in segment.read_bytes()


def test_what_comes_after_closing_is_told_and_harms_nobody(tmp_path: Path) -> None:
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, failed=failures.append)
    write(journal, "1")
    journal.close()
    (segment,) = segments(tmp_path)
    stranger = tmp_path / "stranger"
    with stranger.open("wb"):  # It gets the number of the file that was closed.
        write(journal, "2")
    assert len(failures) == 2
    assert stranger.stat().st_size == 0
    stranger.unlink()
    assert segments(tmp_path) == [segment]
    assert outcomes(tmp_path) == {"1": Outcome.OK}


@pytest.mark.parametrize("name", ["\udce4", "a\ud800b", "\0", "\x1b[31m", '"}\n{"e":"b"', "x" * 1_000_000])
def test_a_hostile_name_makes_one_sane_record(tmp_path: Path, name: str) -> None:
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, failed=failures.append)
    call = a_call("1", model=name)
    call.asked_id = name[:100]
    journal.began(call)
    call.outcome, call.code = Outcome.ERROR, name[:100]
    journal.ended(call)
    write(journal, "2")
    journal.close()
    assert not failures
    assert outcomes(tmp_path) == {"1": Outcome.ERROR, "2": Outcome.OK}
    (segment,) = segments(tmp_path)
    assert segment.stat().st_size < 4000


def test_a_journal_in_memory_keeps_the_latest_calls() -> None:
    journal = MemoryJournal(keep=2)
    for name in "abc":
        call = a_call(name)
        journal.began(call)
        journal.ended(call)
    assert [call.id for call in journal.calls] == ["b", "c"]


# ------------------------------------------------------------------------------------------------ sudden ends


@pytest.mark.parametrize("after", [1, 2, 500])
def test_a_process_that_is_killed_loses_nothing_it_had_written(tmp_path: Path, after: int) -> None:
    with child(WRITES_WITHOUT_END, tmp_path) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
    begun = {name for what, name in said if what == "b"}
    ended = {name for what, name in said if what == "e"}
    found = outcomes(tmp_path)
    assert begun <= found.keys()
    assert {found[name] for name in ended} <= {Outcome.OK}
    # It may have written one more line than it came to tell.
    assert len(found) - len(begun) <= 1
    assert set(found.values()) <= {Outcome.OK, Outcome.LOST}
    assert sum(outcome is Outcome.LOST for outcome in found.values()) <= 1


def test_the_call_that_was_open_is_lost(tmp_path: Path) -> None:
    with child(HOLDS_ONE, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert outcomes(tmp_path) == {"theirs": Outcome.OPEN}
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert outcomes(tmp_path) == {"theirs": Outcome.LOST}


def test_a_record_cut_anywhere_is_no_record(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    write(journal, "1")
    last = a_call("2", model="the last one")
    journal.began(last)
    written = journal._segment._end
    begun = len(module.begin_line(last))
    last.outcome = Outcome.OK
    journal.ended(last)
    die(journal)
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    end = whole.index(b"\0")
    for start, size, then in ((written - begun, begun, {}), (written, end - written, {"2": Outcome.LOST})):
        for kept in range(size):
            for torn in (whole[: start + kept], whole[: start + kept] + bytes(1000)):
                segment.write_bytes(torn)
                assert outcomes(tmp_path) == {"1": Outcome.OK} | then
        # A copy may also have a hole where its middle should be.
        segment.write_bytes(whole[: start + 10] + bytes(8) + whole[start + 18 : start + size])
        assert outcomes(tmp_path) == {"1": Outcome.OK} | then


def test_a_new_process_of_the_same_number_does_not_keep_a_lost_call_open(tmp_path: Path) -> None:
    dead = FileJournal(tmp_path)
    dead.began(a_call("1"))
    die(dead)
    living = FileJournal(tmp_path)
    living.began(a_call("2"))
    assert outcomes(tmp_path) == {"1": Outcome.LOST, "2": Outcome.OPEN}
    living.close()


# ------------------------------------------------------------------------------------------------ several at once


def test_two_living_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    with child(HOLDS_ONE, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        failures: list[OSError] = []
        journal = FileJournal(tmp_path, segment_bytes=300, keep_segments=2, failed=failures.append)
        journal.began(a_call("ours"))
        assert outcomes(tmp_path) == {"theirs": Outcome.OPEN, "ours": Outcome.OPEN}
        # The oldest segments go, but not one that is being written.
        write(journal, *map(str, range(20)))
        assert not failures
        assert outcomes(tmp_path)["theirs"] is Outcome.OPEN
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert outcomes(tmp_path)["theirs"] is Outcome.LOST
        journal.close()


def test_a_segment_that_goes_while_it_is_read_ends_nothing(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, segment_bytes=1)
    write(journal, "1", "2", "3")
    journal.close()
    reading = read_calls(tmp_path)
    assert next(reading).id == "1"
    for path in segments(tmp_path)[2:4]:
        path.unlink()
    assert [call.id for call in reading] == ["3"]


# ------------------------------------------------------------------------------------------------ segments


def test_only_the_newest_segments_are_kept(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, segment_bytes=200, keep_segments=3)
    write(journal, *map(str, range(50)))
    assert len(segments(tmp_path)) == 3
    assert all(path.stat().st_size <= 200 for path in segments(tmp_path))
    found = list(outcomes(tmp_path))
    assert found == [str(number) for number in range(50)][-len(found) :]
    journal.close()


def test_a_call_may_span_segments(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, segment_bytes=200, keep_segments=100)
    long, lost = a_call("long"), a_call("open")
    journal.began(long)
    journal.began(lost)
    write(journal, *map(str, range(10)))
    long.outcome = Outcome.OK
    journal.ended(long)
    assert len(segments(tmp_path)) > 3
    # It began in a segment that is closed; the process that wrote it lives.
    assert outcomes(tmp_path) == {str(number): Outcome.OK for number in range(10)} | {
        "long": Outcome.OK,
        "open": Outcome.OPEN,
    }
    journal.close()
    assert outcomes(tmp_path)["open"] is Outcome.LOST


@pytest.mark.parametrize("segment_bytes", [1, 50, 5000, module.Segment.STEP + 10_000])
def test_a_segment_of_any_size_holds_whole_records(tmp_path: Path, segment_bytes: int) -> None:
    journal = FileJournal(tmp_path, segment_bytes=segment_bytes, keep_segments=10**6)
    count = 200 if segment_bytes < 10_000 else 20_000
    write(journal, *map(str, range(count)))
    assert outcomes(tmp_path) == {str(number): Outcome.OK for number in range(count)}
    journal.close()
    assert all(path.read_bytes().endswith(b"}\n") for path in segments(tmp_path))


# ------------------------------------------------------------------------------------------------ full disks


def test_a_full_disk_is_told_and_stops_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, failed=failures.append)
    with monkeypatch.context() as full:

        def no_space(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(module, "reserve", no_space)
        write(journal, "1", "2")
        assert [failure.errno for failure in failures] == [errno.ENOSPC] * 4
    write(journal, "3")
    assert outcomes(tmp_path) == {"3": Outcome.OK}
    journal.close()


def test_a_disk_that_fills_up_later_keeps_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Segment, "STEP", 400)
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, failed=failures.append)
    write(journal, "1")

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(module, "reserve", no_space)
        write(journal, *map(str, range(2, 20)))
        assert failures
    write(journal, "20")
    found = outcomes(tmp_path)
    assert found["1"] is found["20"] is Outcome.OK
    journal.close()


def test_a_record_too_many_does_not_take_the_next_one_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Segment, "STEP", 400)
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, failed=failures.append)
    write(journal, "1")

    def no_memory(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as broken:
        broken.setattr("farmgate.stores.journal.mmap.mmap", no_memory)
        journal.began(a_call("2", model="m" * 256))
        assert len(failures) == 1
        write(journal, "3")
    write(journal, "4")
    assert len(failures) == 1
    assert outcomes(tmp_path) == dict.fromkeys("134", Outcome.OK)
    journal.close()


def test_a_disk_that_takes_a_little_at_a_time_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:100_000], offset))
    journal = FileJournal(tmp_path)
    write(journal, "1")
    assert segments(tmp_path)[0].stat().st_size == module.Segment.STEP
    assert outcomes(tmp_path) == {"1": Outcome.OK}
    journal.close()


def test_a_directory_that_cannot_be_rotated_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[OSError] = []
    journal = FileJournal(tmp_path, segment_bytes=200, keep_segments=1, failed=failures.append)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", denied)
    write(journal, *map(str, range(10)))
    monkeypatch.undo()
    assert failures
    assert outcomes(tmp_path) == {str(number): Outcome.OK for number in range(10)}
    journal.close()


# ------------------------------------------------------------------------------------------------ hostile files

BEGAN = b'{"e":"b","i":"x","k":"k","n":"chat","p":"p","m":"m","t":1.0}\n'
HOSTILE = {
    "nothing": b"\n\n\n",
    "garbage": b"garbage\n\xff\xfe\x00\n",
    "another object": b'{"e":"z"}\n{}\n[]\nnull\n7\n"x"\n',
    "wrong types": b'{"e":"b","i":7,"k":"k","n":"chat","p":"p","m":"m","t":1.0}\n',
    "a missing field": b'{"e":"b","i":"x"}\n',
    "an end without a beginning": b'{"e":"e","i":"x","o":"ok"}\n',
    "numbers without end": b'{"e":"e","i":"1","o":"ok","pt":' + b"9" * 5000 + b"}\n",
    "too deep": b"[" * 100_000 + b"\n",
    "NULs": bytes(100_000) + b"\n",
    "NULs inside": b'{"e":"b","i":"\0\0"}\n',
    "half a line": BEGAN[:-10] + b"\n",
    "a huge line": b"x" * 5_000_000 + b"\n",
    "a huge line that ends like a record": b" " * (module.LINE_BYTES * 3) + BEGAN,
    "a huge string that ends like a record": b"y" * (module.LINE_BYTES * 2) + BEGAN,
    "no end of the line": BEGAN[:-1] + b"x" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path, name: str) -> None:
    journal = FileJournal(tmp_path)
    write(journal, "1")
    journal.close()
    (segment,) = segments(tmp_path)
    mine = segment.read_bytes()
    segment.write_bytes((HOSTILE[name] if name != "no end of the line" else b"") + mine + HOSTILE[name])
    assert outcomes(tmp_path) == {"1": Outcome.OK}


def test_an_outcome_nobody_knows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "calls-0-1.jsonl").write_bytes(BEGAN + b'{"e":"e","i":"x","o":"splendid","later":1}\n')
    assert outcomes(tmp_path) == {"x": Outcome.ERROR}


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(BEGAN)
    (tmp_path / "calls-0-1.json").write_bytes(BEGAN)
    journal = FileJournal(tmp_path, segment_bytes=1, keep_segments=1)
    write(journal, "1", "2")
    assert "x" not in outcomes(tmp_path)
    assert (tmp_path / "notes.jsonl").exists()
    journal.close()


def test_reading_holds_only_what_is_open(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    for number in range(5):
        journal.began(a_call(f"open {number}"))
    write(journal, *map(str, range(100_000)))
    journal.close()

    def held() -> int:
        return sum(type(found) is Call for found in gc.get_objects())

    before = held()
    most = count = 0
    for count, _ in enumerate(read_calls(tmp_path), 1):
        if count % 20_000 == 0:
            most = max(most, held() - before)
    assert count == 100_005
    assert most <= 5 + 2


def test_a_record_is_one_line_of_json(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    write(journal, "1")
    journal.close()
    (segment,) = segments(tmp_path)
    began, ended = map(json.loads, segment.read_text().splitlines())
    assert began == {"e": "b", "i": "1", "k": "k", "n": "chat", "p": "p", "m": "m", "t": 1.5, "s": True}
    assert ended == {"e": "e", "i": "1", "o": "ok"}
