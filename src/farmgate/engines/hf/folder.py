"""What can be known of a checkpoint before torch is loaded: whether its folder is one, and what its files say."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from farmgate.core.errors import FarmError
from farmgate.engines.adapters import CannotAdapt, check_folder
from farmgate.engines.folder import read_json

__all__ = ["CannotLoad", "Pooling", "check_adapter", "check_checkpoint", "pooling_of"]


class CannotLoad(FarmError):
    """The weights cannot be loaded."""

    status = 400
    type = "invalid_request_error"
    code = "cannot_load"


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    FIRST = "first"
    LAST = "last"


def check_checkpoint(folder: Path) -> None:
    """Raise CannotLoad, with what to do, unless the folder holds a model that runs without code of its own."""
    if not folder.is_dir():
        raise CannotLoad(f"{folder} is no folder: give one that holds config.json and *.safetensors")
    config = read_json(folder / "config.json")
    if config is None:
        raise CannotLoad(f"{folder} has no config.json that can be read: is it the folder of a checkpoint?")
    if "auto_map" in config and "model_type" not in config:
        raise CannotLoad(f"{folder} wants code of its own to be run, which Farmgate does not do")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        why = "only pickled weights, which can run code: convert them to safetensors" if pickled else "no *.safetensors"
        raise CannotLoad(f"{folder} has {why}")


def check_adapter(folder: Path) -> None:
    """Raise CannotLoad unless the folder holds an adapter as peft saves it, with weights that run no code."""
    try:
        check_folder(folder)
    except CannotAdapt as error:
        raise CannotLoad(str(error)) from error


def pooling_of(folder: Path) -> Pooling:
    """How the makers of an embedding model pool it, as sentence-transformers writes it down; the mean unless they say.

    Raises CannotLoad for a way that is not ours: another would give vectors that look right and mean nothing.
    """
    told = read_json(folder / "1_Pooling" / "config.json")
    if told is None:
        return Pooling.MEAN
    modes = {name for name, value in told.items() if name.startswith("pooling_mode_") and value is True}
    ours = {
        "pooling_mode_mean_tokens": Pooling.MEAN,
        "pooling_mode_cls_token": Pooling.FIRST,
        "pooling_mode_lasttoken": Pooling.LAST,
    }
    found = [ours[mode] for mode in modes if mode in ours]
    if len(modes) != 1 or not found:
        raise CannotLoad(f"{folder} is pooled by {', '.join(sorted(modes)) or 'nothing'}: only mean, cls and lasttoken")
    return found[0]
