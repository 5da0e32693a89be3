"""KServe's v2 protocol before one model: what it is, and inference with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from farmgate.core.errors import InvalidValue, ModelNotCapable, ModelNotFound, UnknownUrl
from farmgate.engines.engine import Spec
from farmgate.engines.serving.app import Routes
from farmgate.engines.serving.exchange import Exchange, first
from farmgate.wire.triton.bodies import LENGTH, Address, read_address, read_length
from farmgate.wire.triton.tensors import Form, Tensor, decode_asked, encode_answered, encode_metadata

__all__ = ["Infers", "TensorDoor"]

BINARY = b"application/octet-stream"


class Infers(Protocol):
    """A model that takes tensors. What it does not know of its own forms it leaves empty."""

    @property
    def platform(self) -> str:
        """What it is made with, in a word."""

    @property
    def inputs(self) -> Sequence[Form]: ...

    @property
    def outputs(self) -> Sequence[Form]: ...

    async def infer(self, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Sequence[Tensor]:
        """Every output, or at least those that are `wanted`. Raises BadRequest, and ModelFailed."""


class TensorDoor:
    """What is asked under /v2. `model` None: it takes no tensors, and `instead` says what it does."""

    def __init__(self, spec: Spec, model: Infers | None, *, platform: str, instead: str = "") -> None:
        self._spec = spec
        self._model = model
        self._platform = platform
        self._instead = instead

    def routes(self) -> Routes:
        return {
            # Asked with POST by the gate, whose questions all are.
            "/v2/health/ready": {"GET": self._ready, "POST": self._ready},
            "/v2/models/": {"GET": self._tell, "POST": self._infer},
        }

    async def _ready(self, exchange: Exchange) -> None:
        await exchange.answer({"ready": True})

    async def _tell(self, exchange: Exchange) -> None:
        if self._address(exchange).action:
            raise UnknownUrl
        inputs = self._model.inputs if self._model is not None else ()
        outputs = self._model.outputs if self._model is not None else ()
        told = encode_metadata(
            model=self._spec.model, version=self._spec.version, platform=self._platform, inputs=inputs, outputs=outputs
        )
        await exchange.whole(told)

    async def _infer(self, exchange: Exchange) -> None:
        if self._address(exchange).action != "infer":
            raise UnknownUrl
        if self._model is None:
            raise ModelNotCapable(f"{self._spec.model} takes no tensors: {self._instead}.", param="model")
        body = await exchange.body()
        asked = decode_asked(body, read_length(exchange.header(LENGTH), len(body)))
        outputs = await first(self._model.infer(asked.inputs, asked.outputs), exchange)
        told = encode_answered(
            chosen(outputs, asked.outputs), asked, model=self._spec.model, version=self._spec.version
        )
        if told.json_bytes is None:
            await exchange.whole(told.body)
        else:
            await exchange.whole(told.body, kind=BINARY, headers=[(LENGTH, str(told.json_bytes).encode())])

    def _address(self, exchange: Exchange) -> Address:
        """Raises ModelNotFound for another version: a swap may have come between the gate's look and its question."""
        address = read_address(exchange.path)
        if address is None:
            raise UnknownUrl
        if address.version not in (None, self._spec.version):
            raise ModelNotFound(
                f"There is no version {address.version!r} of {self._spec.model} here: it is {self._spec.version!r}.",
                param="version",
            )
        return address


def chosen(outputs: Sequence[Tensor], wanted: Sequence[str]) -> Sequence[Tensor]:
    """Those that are wanted, in that order. Raises InvalidValue for one that there is not."""
    if not wanted:
        return outputs
    by_name = {output.name: output for output in outputs}
    for name in wanted:
        if name not in by_name:
            raise InvalidValue(f"There is no output {name[:100]!r}: there is {', '.join(by_name)}.", param="outputs")
    return [by_name[name] for name in wanted]
