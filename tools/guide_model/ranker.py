"""A tiny BERT that ranks, as GGUF: weights by chance, so that what an engine computes can be compared with torch."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

__all__ = ["CASES", "build_ranker", "scores"]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXT = "a the is in on what who how bread water salt flour bear panda china cat dog rain swap model gate"
WORDS = tuple(TEXT.split())
VOCABULARY = (*SPECIAL, *"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))
SEED = 7
SPREAD = 0.4
"""How far the weights are from zero: larger than BERT's own, so that scores lie apart."""
CASES = (
    ("what is a panda", ("a bear in china", "flour water salt", "swap the model")),
    ("how is bread", ("flour water salt", "rain on the dog", "who is the cat")),
)

NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
ENDS = {
    "bert.embeddings.word_embeddings": "token_embd",
    "bert.embeddings.position_embeddings": "position_embd",
    "bert.embeddings.token_type_embeddings": "token_types",
    "bert.embeddings.LayerNorm": "token_embd_norm",
    "bert.pooler.dense": "cls",
    "classifier": "cls.output",
}
LAYER = "bert.encoder.layer."


def vocabulary() -> list[str]:
    return [*dict.fromkeys((*VOCABULARY, *WORDS))]


def make() -> BertForSequenceClassification:
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        num_labels=1,
        initializer_range=SPREAD,
    )
    return BertForSequenceClassification(config).eval()


def scores(query: str, documents: tuple[str, ...]) -> list[float]:
    """What torch computes of `[CLS] query [SEP] document`: no end and no kinds of tokens, as llama.cpp asks a BERT."""
    model, words = make(), vocabulary()

    def numbers(text: str) -> list[int]:
        return [words.index(word) for word in text.split()]

    cls, sep = words.index("[CLS]"), words.index("[SEP]")
    found = []
    for document in documents:
        tokens = torch.tensor([[cls, *numbers(query), sep, *numbers(document)]])
        with torch.inference_mode():
            found.append(float(model(tokens).logits[0, 0]))
    return found


def build_ranker(path: Path) -> None:
    """The weights as GGUF, and beside them what torch makes of a few questions."""
    model, words = make(), vocabulary()
    config = model.config
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("ranker")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(value=False)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([written(word) for word in words])
    writer.add_token_types([gguf.TokenType.CONTROL if word in SPECIAL else gguf.TokenType.NORMAL for word in words])
    writer.add_token_type_count(2)
    for name, word in (("bos", "[CLS]"), ("sep", "[SEP]"), ("pad", "[PAD]"), ("mask", "[MASK]")):
        getattr(writer, f"add_{name}_token_id")(words.index(word))
    writer.add_unk_token_id(words.index("[UNK]"))
    for name, values in model.state_dict().items():
        writer.add_tensor(renamed(name), values.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    told = [{"query": query, "documents": documents, "scores": scores(query, documents)} for query, documents in CASES]
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")


def written(word: str) -> str:
    """llama.cpp marks where a word begins, and not where it goes on."""
    if word in SPECIAL:
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def renamed(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in ENDS:
        return f"{ENDS[stem]}.{kind}"
    layer, _, part = stem.removeprefix(LAYER).partition(".")
    return f"blk.{layer}.{NAMES[part]}.{kind}"
