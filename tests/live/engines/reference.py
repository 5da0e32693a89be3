"""What transformers' own `generate` writes, in this process: what the engine is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

__all__ = ["Reference"]


class Reference:
    """One model, asked one prompt at a time, greedy, in 32 bits on a processor."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self.model.eval()

    def ids(self, question: str) -> list[int]:
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        return [int(each) for each in self.tokenizer.encode(text, add_special_tokens=False)]

    def tokens(self, ids: list[int], *, most_tokens: int) -> list[int]:
        prompt = torch.tensor([ids])
        with torch.inference_mode():
            told = self.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=most_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return [int(each) for each in told[0, len(ids) :]]

    def chat(self, question: str, *, most_tokens: int = 900) -> tuple[str, int]:
        """What it answers, and in how many tokens, the one that ends it included."""
        tokens = self.tokens(self.ids(question), most_tokens=most_tokens)
        return self.text(tokens), len(tokens)

    def complete(self, prompt: str, *, most_tokens: int) -> str:
        return self.text(self.tokens(self.tokenizer.encode(prompt), most_tokens=most_tokens))

    def text(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))
