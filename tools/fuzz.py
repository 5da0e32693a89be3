"""Fuzzes the splitters and readers of tests/fuzz/targets.py one after another, and keeps what breaks them as tests.

Run by `make fuzz` in the environment of requirements/fuzz.txt. With `--one` it is the fuzzer of one target.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOUSE / "src"), str(HOUSE)]
CORPUS = HOUSE / ".fuzz"
"""What each target has learned, kept from run to run; `make clean` forgets it."""
LONGEST_INPUT = 8192
PATIENCE_S = 60
WORD = re.compile(rb'"[A-Za-z_.-]{2,40}"')
COVERAGE = re.compile(r"cov: (\d+)")
RUNS = re.compile(r"stat::number_of_executed_units: (\d+)")


def main(seconds: int, names: list[str]) -> int:
    from tests.fuzz.targets import TARGETS

    unknown = sorted(set(names) - set(TARGETS))
    if unknown:
        print(f"fuzz: there is no target {unknown[0]!r}: they are {', '.join(TARGETS)}")
        return 2
    broken = [name for name in names or TARGETS if not holds(name, seconds)]
    for name in broken:
        print(f"fuzz: {name} BROKE: see tests/fuzz/found/{name} and .fuzz/{name}.log; pytest tests/fuzz shows it")
    return 1 if broken else 0


def holds(name: str, seconds: int) -> bool:
    """Fuzz one target for so long, and say how it went."""
    log = CORPUS / f"{name}.log"
    arguments = [*prepared(name), f"-max_total_time={seconds}"]
    began = time.monotonic()
    with log.open("w") as out:
        command = ["nice", "-n", "19", sys.executable, __file__, "--one", name, *arguments]
        code = subprocess.run(command, cwd=HOUSE, stdout=out, stderr=out, timeout=seconds + PATIENCE_S, check=False)
    told = log.read_text(errors="replace")
    runs, edges = RUNS.findall(told), COVERAGE.findall(told)
    figures = f"{int(runs[-1]) if runs else 0:>9} executions {edges[-1] if edges else 0:>6} edges"
    found = len(list((HOUSE / "tests/fuzz/found" / name).glob("*")))
    print(f"fuzz: {name:<12}{figures} {found:>3} kept {time.monotonic() - began:>5.0f} s", flush=True)
    return code.returncode == 0


def prepared(name: str) -> list[str]:
    """Seeds, words and folders for libFuzzer, and the arguments that name them."""
    from tests.fuzz.targets import TARGETS

    corpus, found = CORPUS / name, HOUSE / "tests/fuzz/found" / name
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    seeds = TARGETS[name].seeds()
    for number, data in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    words = sorted({word for data in seeds for word in WORD.findall(data)})
    book = CORPUS / f"{name}.dict"
    book.write_bytes(b"".join(b'"\\"%b\\""\n' % word[1:-1] for word in words) or b'"\\x0d\\x0a"\n')
    limits = [
        f"-max_len={LONGEST_INPUT}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-len_control=20",
    ]
    return [str(corpus), str(found), f"-dict={book}", f"-artifact_prefix={found}/", *limits]


def fuzz(name: str, arguments: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["farmgate"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name].prove)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
