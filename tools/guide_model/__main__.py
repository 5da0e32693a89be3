"""Train both versions, see that they say what they were taught, and write them where the tests look; and a ranker.

python -m tools.guide_model            train and write: a minute for each version, on one core
python -m tools.guide_model --check    see that what is written says what it should
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .gguf_file import write_gguf
from .ranker import build_ranker
from .train import Guide, train
from .words import VERSIONS, Entry, entries, everything, held_out, strangers

HERE = Path(__file__).resolve().parent.parent.parent
MODELS = HERE / "tests" / "models"
MOST_BYTES = 4_000_000
LEAST_HELD_OUT, LEAST_STRANGERS = 0.85, 0.9
"""What was not taught may be missed now and then: the model is tiny."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools.guide_model", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="train nothing")
    wish = parser.parse_args(arguments)
    wrong: list[str] = []
    for version in VERSIONS:
        if not wish.check:
            build(version)
        wrong += faults(version, load(version))
    if not wish.check:
        build_ranker(MODELS / "ranker.gguf")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def checkpoint_of(version: int) -> Path:
    return MODELS / f"guide-{version}"


def gguf_of(version: int) -> Path:
    return MODELS / f"guide-{version}.gguf"


def build(version: int) -> None:
    began = time.perf_counter()
    guide = train(version)
    print(f"guide {version}: trained in {time.perf_counter() - began:.0f} s", flush=True)
    checkpoint = checkpoint_of(version)
    checkpoint.mkdir(parents=True, exist_ok=True)
    guide.save(checkpoint)
    write_gguf(checkpoint, gguf_of(version), name=f"guide-{version}")


def load(version: int) -> Guide:
    checkpoint = checkpoint_of(version)
    model = LlamaForCausalLM.from_pretrained(checkpoint, dtype="float32", local_files_only=True)
    return Guide(model.eval(), PreTrainedTokenizerFast.from_pretrained(checkpoint, local_files_only=True))


def faults(version: int, guide: Guide) -> list[str]:
    """What is wrong with a version that was written."""
    taught = [*dict.fromkeys(entries(version)), everything(version)]
    missed = misses(guide, taught)
    wrong = [f"guide {version}: {entry.question!r} is answered {said!r}" for entry, said in missed]
    for name, least, asked in (
        ("in other words", LEAST_HELD_OUT, held_out(version)),
        ("about something else", LEAST_STRANGERS, strangers(version)),
    ):
        right = 1 - len(misses(guide, asked)) / len(asked)
        print(f"guide {version}: {name}, not taught: {right:.0%} of {len(asked)} right", flush=True)
        if right < least:
            wrong.append(f"guide {version}: {name}: {right:.0%} right, not {least:.0%}")
    files = (checkpoint_of(version) / "model.safetensors", gguf_of(version))
    wrong += [f"{file.name} is larger than {MOST_BYTES} bytes" for file in files if file.stat().st_size > MOST_BYTES]
    return wrong


def misses(guide: Guide, asked: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Questions that are not answered as they should be, with what is said."""
    answered = ((entry, guide.answer(entry.question)) for entry in asked)
    return [(entry, said) for entry, said in answered if said != entry.answer]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
