"""SageMaker endpoints whose container speaks OpenAI (vLLM, TGI, LMI): the same words inside AWS's envelope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import msgspec

from farmgate.core.errors import ModelNotCapable, ModelNotFound
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.providers.amazon import HEADER, open_amazon, text_option
from farmgate.providers.exchange import ProviderCodec, ask
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.losses import Outgoing
from farmgate.wire.openai.answers import decode_whole
from farmgate.wire.openai.requests import encode_request
from farmgate.wire.openai.stream import StreamReader as ContainerReader
from farmgate.wire.sagemaker.errors import decode_error
from farmgate.wire.sagemaker.stream import StreamReader
from farmgate.wire.strictjson import encode

__all__ = ["SageMakerProvider"]

EVENT_STREAM = "application/vnd.amazon.eventstream"
ENDPOINT = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
KINDS = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING})
OWN_HEADERS = {
    "inference_component": "x-amzn-sagemaker-inference-component",
    "target_variant": "x-amzn-sagemaker-target-variant",
}

decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class SageMakerProvider(ProviderBase):
    """One region's endpoints: a model's name is an endpoint's.

    Options: `region`, `credential: {profile}`, `model` (what the container calls its model; without it none is named),
    `inference_component` and `target_variant` (one for all endpoints, or an object by endpoint).
    """

    capabilities = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING, Capability.TOOLS})

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._model = text_option(settings, "model")
        for option in OWN_HEADERS:
            check_by_endpoint(settings, option)
        self._amazon = open_amazon(settings, service="sagemaker", host="runtime.sagemaker")

    async def send(self, request: Request) -> Reply:
        if request.kind not in KINDS:
            raise ModelNotCapable(f"{self.name} has no {request.kind} API.", param="model")
        endpoint = request.model or ""
        if not ENDPOINT.fullmatch(endpoint):
            raise ModelNotFound(f"{self.name} has no endpoint {endpoint[:100]!r}.", param="model")
        streams = request.stream and request.kind is not Kind.EMBEDDING
        action = "invocations-response-stream" if streams else "invocations"
        path = f"/endpoints/{endpoint}/{action}"
        outgoing = self._outgoing(request)
        lines = await self._amazon.lines(path, outgoing.body, deadline=request.deadline)
        return await ask(
            self._amazon.upstream,
            path,
            outgoing,
            request=request,
            settings=self._settings,
            codec=self._codec(request, endpoint),
            headers=lines + self._own_lines(endpoint),
        )

    def _outgoing(self, request: Request) -> Outgoing:
        """The container's own name for its model, or none: an endpoint's name says nothing to it."""
        named = request.to(provider=self.name, model=self._model or "")
        outgoing = encode_request(named, provider=self.name, ask_usage=True)
        if self._model is not None:
            return outgoing
        fields = decode_fields(outgoing.body)
        fields.pop("model", None)
        return Outgoing(body=encode(fields), dropped=outgoing.dropped)

    def _own_lines(self, endpoint: str) -> bytes:
        lines = ""
        for option, header in OWN_HEADERS.items():
            value = self._settings.options.get(option)
            chosen = value.get(endpoint) if isinstance(value, Mapping) else value
            if chosen is not None:
                lines += f"{header}: {chosen}\r\n"
        return lines.encode("ascii")

    def _codec(self, request: Request, endpoint: str) -> ProviderCodec:
        name, frame_bytes = self.name, self._settings.frame_bytes

        def reader() -> StreamReader:
            inner = ContainerReader(
                provider=name,
                show_usage=request.want_usage,
                frame_bytes=frame_bytes,
                one_choice=request.body.fields.get("n") in (None, 1),
            )
            return StreamReader(inner, provider=name, frame_bytes=frame_bytes)

        return ProviderCodec(
            error=partial(decode_error, provider=name, model=endpoint),
            whole=partial(decode_whole, kind=request.kind, provider=name),
            reader=reader,
            stream_type=EVENT_STREAM,
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        """Those of the settings: endpoints are listed by another service, to other permissions."""
        return self._settings.named

    async def health(self) -> Health:
        """Whether SageMaker answers and Farmgate has credentials. An endpoint is not invoked: that may wake one that
        is asleep, and costs."""
        known = self._settings.models
        trouble = await self._amazon.unreachable("/ping")
        if trouble is not None:
            return Health(name=self.name, status=HealthStatus.UNHEALTHY, models=known, detail=trouble)
        detail = "SageMaker answers and there are credentials. Whether an endpoint serves only a request can tell."
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=known, detail=detail)

    async def close(self) -> None:
        await self._amazon.close()


def check_by_endpoint(settings: ProviderSettings, option: str) -> None:
    """A name for all endpoints, or names by endpoint. Raises ValueError for anything else."""
    value = settings.options.get(option)
    chosen = tuple(value.values()) if isinstance(value, Mapping) else (value,)
    if value is not None and not all(isinstance(one, str) and HEADER.fullmatch(one) for one in chosen):
        raise ValueError(f"ai.providers.{settings.name}: options.{option} has to be a name, or names by endpoint")
