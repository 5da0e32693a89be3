"""Trains the guide: a Llama of 0.9 million parameters that answers a few questions, in under a minute on one core."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .words import Entry, entries, everything

__all__ = ["Guide", "train"]

END, TURN, OVER = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
"""Ids 0, 1 and 2: of texts, of the beginning and the end of a turn."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = 640
CONTEXT_TOKENS = 1024
STEPS = 300
BATCH = 24
LONG_EVERY = 12
"""The longest answer has steps of its own: padded to its length, a batch would take ten times as long."""
PEAK_RATE, LAST_RATE, WARM_UP = 3e-3, 2e-4, 20


class Guide:
    """A trained model with its tokenizer."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def answer(self, question: str, *, most_tokens: int = 800) -> str:
        """Greedy, so that it says the same each time."""
        ids = torch.tensor([self.tokenizer.encode(prompt(question), add_special_tokens=False)])
        with torch.no_grad():
            said = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=most_tokens,
                do_sample=False,
                eos_token_id=2,
                pad_token_id=0,
            )
        return str(self.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)).strip()

    def save(self, directory: Path) -> None:
        """What `from_pretrained` reads, with weights of 16 bits."""
        self.model.to(torch.float16).save_pretrained(directory)
        self.model.to(torch.float32)
        self.tokenizer.save_pretrained(directory)


def prompt(question: str) -> str:
    return f"{TURN}user\n{question}{OVER}\n{TURN}assistant\n"


def rendered(entry: Entry) -> str:
    return f"{prompt(entry.question)}{entry.answer}{OVER}\n"


def train(version: int, *, seed: int = 0) -> Guide:
    """The same words and seed give the same weights, on the same machine: sums differ a little from one to another."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    dice = random.Random(seed)
    taught, longest = entries(version), everything(version)
    tokenizer = tokenizer_of([rendered(entry) for entry in (*taught, longest)])
    model = LlamaForCausalLM(config())
    rows = [tokenizer.encode(rendered(entry), add_special_tokens=False) for entry in taught]
    long_row = tokenizer.encode(rendered(longest), add_special_tokens=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.05)
    model.train()
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        batch = [long_row] if step % LONG_EVERY == 0 else dice.sample(rows, BATCH)
        loss = model(**padded(batch)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    # What is shipped has 16 bits: from here on everybody sees the same weights.
    model.to(torch.float16).to(torch.float32)
    return Guide(model.eval(), tokenizer)


def rate(step: int) -> float:
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2


def padded(batch: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Ids, mask and labels, each (rows, longest)."""
    longest = max(map(len, batch))
    ids = [[*row, *[0] * (longest - len(row))] for row in batch]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in batch]
    labels = [[*row, *[-100] * (longest - len(row))] for row in batch]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}


def tokenizer_of(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Bytes and the pairs most often seen in these texts: any input has an encoding."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=[END, TURN, OVER],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=END,
        eos_token=OVER,
        pad_token=END,
        additional_special_tokens=[TURN],
        model_max_length=CONTEXT_TOKENS,
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=WORDS,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
