"""LoRA adapters of one model: each is a model's name of its own, and comes and goes while the model stays."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import Any

from farmgate.engines.hf.folder import CannotLoad, check_adapter
from farmgate.engines.hf.loading import reason

__all__ = ["Adapters"]


class Adapters:
    """Used by the thread that owns the model, between its steps.

    peft itself, not transformers' own way to it: that one asks for a peft of its choice, newer than there may be.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tuned: Any = None
        """peft's view of the same model, as long as there is an adapter: its layers then stand in the model."""
        self._names: set[str] = set()

    def add(self, name: str, folder: Path) -> None:
        """Raises CannotLoad. The model goes on with the adapter that `use` is told next."""
        check_adapter(folder)
        if importlib.util.find_spec("peft") is None:
            raise CannotLoad("adapters need peft: pip install 'farmgate[transformers]'")
        import peft

        try:
            config = peft.PeftConfig.from_pretrained(str(folder))
            config.inference_mode = True
            weights = peft.utils.load_peft_weights(str(folder), device="cpu")
            if self._tuned is None:
                self._tuned = peft.get_peft_model(self._model, config, adapter_name=name)
            else:
                self._tuned.add_adapter(name, config)
            read = peft.set_peft_model_state_dict(self._tuned, weights, adapter_name=name)
            if read.unexpected_keys:
                raise ValueError(f"it has weights for {read.unexpected_keys[0]}, which the model lacks")
        except Exception as error:
            with suppress(Exception):
                self._drop(name)
            raise CannotLoad(f"{folder} is no adapter of this model: {reason(error)}") from error
        self._model.eval()
        self._model.requires_grad_(requires_grad=False)
        self._names.add(name)

    def remove(self, name: str) -> None:
        self._names.discard(name)
        self._drop(name)

    def use(self, name: str | None) -> None:
        """None: the model alone."""
        if self._tuned is None:
            return
        if name is None:
            self._tuned.base_model.disable_adapter_layers()
        else:
            self._tuned.base_model.enable_adapter_layers()
            self._tuned.set_adapter(name)
            self._model.requires_grad_(requires_grad=False)

    def _drop(self, name: str) -> None:
        """With the last one its layers go too, and the model is what it was."""
        if self._tuned is None:
            return
        if self._names - {name}:
            self._tuned.delete_adapter(name)
        else:
            self._tuned.unload()
            self._tuned = None
