"""How fast the transformers engine writes, beside other ways to do the same, on this machine's processor.

.venv-engines/bin/python bench/engine.py            the engine as its clients see it: 1 and 8 of them, whole and streamed
.venv-engines/bin/python bench/engine.py inside     without HTTP: generate, transformers' own batching, and our rows
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.live.engines.running import MODELS, Running, asked, at_once, starting
from tools.guide_model.words import entries, everything

FOLDER = MODELS / "guide-1"
CLIENTS = 8
ROUNDS = 3
THREADS = 1
"""Of the model: it is tiny, and a second one costs it more than it brings."""
LONG = asked(everything(1).question)


def main(arguments: Sequence[str]) -> int:
    if "inside" in arguments:
        inside()
    else:
        outside()
    return 0


def outside() -> None:
    with tempfile.TemporaryDirectory() as logs:
        began, before = time.perf_counter(), available_mb()
        with starting(FOLDER, Path(logs), parallel=CLIENTS, threads=THREADS) as running:
            print(f"ready after {time.perf_counter() - began:.1f} s, resident {resident_mb(running):.0f} MB")
            print(running.log.read_text().strip())
            whole(running)
            for name, ask in (("whole", whole), ("streamed", streamed)):
                one = max(rate(running, ask, 1) for _ in range(ROUNDS))
                many = max(rate(running, ask, CLIENTS) for _ in range(ROUNDS))
                print(f"{name}: 1 client {one:.0f} tokens/s, {CLIENTS} clients {many:.0f} tokens/s, {many / one:.1f} x")
            print(f"resident after that {resident_mb(running):.0f} MB")
            with_it = available_mb()
        print(f"available memory: {before:.0f} MB before, {with_it:.0f} MB with it, {available_mb():.0f} MB after")


def rate(running: Running, ask: Callable[[Running], int], clients: int) -> float:
    """Tokens per second of all clients together, each with one long answer after the other."""
    began = time.perf_counter()
    tokens = sum(at_once([lambda: sum(ask(running) for _ in range(2))] * clients))
    return tokens / (time.perf_counter() - began)


def whole(running: Running) -> int:
    return int(running.post("/v1/chat/completions", LONG)["usage"]["completion_tokens"])


def streamed(running: Running) -> int:
    usage: Any = None
    with running.streaming("/v1/chat/completions", LONG | {"stream_options": {"include_usage": True}}) as frames:
        for frame in frames:
            if '"usage"' in frame:
                usage = json.loads(frame)["usage"]
    return int(usage["completion_tokens"])


def resident_mb(running: Running) -> float:
    return memory(Path(f"/proc/{running.process.pid}/status"), "VmRSS:")


def available_mb() -> float:
    return memory(Path("/proc/meminfo"), "MemAvailable:")


def memory(path: Path, name: str) -> float:
    line = next(line for line in path.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def inside() -> None:
    """The same prompts, 64 tokens each and no end before them, all at once where a way can."""
    import torch
    import transformers
    from tests.live.engines.reference import Reference

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(THREADS)
    reference = Reference(FOLDER)
    prompts = [reference.ids(entry.question) for entry in entries(1)[:240:20]]
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "generate, one after the other": lambda: [one_by_one(reference, ids) for ids in prompts],
        "generate, one padded batch": lambda: padded(reference, prompts),
        "transformers' continuous batching": lambda: continuous(reference, prompts),
        "rows": lambda: rows(reference, prompts),
    }
    right = [one_by_one(reference, ids) for ids in prompts]
    for name, way in ways.items():
        best = 0.0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            told = way()
            best = max(best, sum(map(len, told)) / (time.perf_counter() - began))
        same = sum(one == other for one, other in zip(told, right, strict=True))
        print(f"{name}: {best:.0f} tokens/s, {same} of {len(prompts)} identical")


MOST = 64
ENDLESS: dict[str, Any] = {"do_sample": False, "pad_token_id": 0, "eos_token_id": -1, "max_new_tokens": MOST}


def one_by_one(reference: Any, ids: list[int]) -> list[int]:
    import torch

    prompt = torch.tensor([ids])
    with torch.inference_mode():
        told = reference.model.generate(prompt, attention_mask=torch.ones_like(prompt), **ENDLESS)
    return [int(each) for each in told[0, len(ids) :]]


def padded(reference: Any, prompts: list[list[int]]) -> list[list[int]]:
    import torch

    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in prompts])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts])
    with torch.inference_mode():
        told = reference.model.generate(ids, attention_mask=mask, **ENDLESS)
    return [[int(each) for each in row[longest:]] for row in told]


def continuous(reference: Any, prompts: list[list[int]]) -> list[list[int]]:
    from transformers import ContinuousBatchingConfig, GenerationConfig

    config = ContinuousBatchingConfig(page_size=32, num_blocks=256, max_batch_tokens=256, use_cuda_graph=False)
    told = reference.model.generate_batch(
        prompts, generation_config=GenerationConfig(**ENDLESS), continuous_batching_config=config, progress_bar=False
    )
    return [list(each.generated_tokens) for each in told.values()]


def rows(reference: Any, prompts: list[list[int]]) -> list[list[int]]:
    from farmgate.engines.hf.choosing import Chooser
    from farmgate.engines.hf.rows import Rows
    from farmgate.engines.hf.writing import Writing

    written: dict[int, list[int]] = {}
    steps = Rows(reference.model, device="cpu", most=len(prompts), use=lambda _: None)
    for ids in prompts:
        writing = Writing(
            ids,
            most_tokens=MOST,
            chooser=Chooser(temperature=0, top_p=1, top_k=0, seed=None),
            decode=reference.text,
            end_ids=frozenset(),
        )
        written[id(writing)] = []
        steps.enter(writing)

    def take(writing: Any, token: int) -> bool:
        written[id(writing)].append(token)
        writing.take(token)
        return not writing.is_over

    while any(len(tokens) < MOST for tokens in written.values()):
        steps.step(take)
    return list(written.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
