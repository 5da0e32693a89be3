"""Triton, and whatever else speaks KServe's v2 protocol: text through its generate extension, vectors through infer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from farmgate.core.errors import ModelNotCapable, ModelNotFound, UpstreamRejected
from farmgate.core.event import Event
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Chat, Complete, Embed
from farmgate.providers.checkup import checked_up
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.paths import segment
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.losses import Outgoing
from farmgate.wire.triton.errors import decode_error
from farmgate.wire.triton.infer import Listed, Tensors, decode_index, decode_infer, encode_infer
from farmgate.wire.triton.requests import Backend, Generating, encode_generate
from farmgate.wire.triton.stream import StreamReader, decode_whole
from farmgate.wire.triton.templates import TEMPLATES

__all__ = ["TritonProvider"]

INDEX = "/v2/repository/index"
READY = "/v2/health/ready"
HEALTH_S = 3.0
GENERAL = frozenset({Capability.COMPLETION, Capability.EMBEDDING, Capability.LOAD})


class TritonProvider(ProviderBase):
    """One server. A model is `name` or `name@version`.

    Options: `backend` (`vllm`, `trtllm` or `parameters`: whose inputs the models have), `template` (how a conversation
    becomes text; without one there is no chat), `max_tokens` (where a caller says none), and `embedding`
    (`{input, output, batched}`: the names of the tensors).
    """

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._generating = generating_of(settings)
        self._tensors = tensors_of(settings)
        self.capabilities = GENERAL | ({Capability.CHAT} if self._generating.template else frozenset())
        if not settings.url:
            raise ValueError(f"ai.providers.{self.name}: set url to Triton's address, such as http://triton:8000")
        headers = dict(settings.headers)
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        url = settings.url.rstrip("/").removesuffix("/v2")
        self._upstream = Upstream(url, name=settings.name, headers=headers, timeouts=settings.timeouts)

    async def send(self, request: Request) -> Reply:
        words = request.body.ask()
        match words:
            case Chat() if self._generating.template is None:
                raise ModelNotCapable(
                    f"{self.name} does not know how its models write a conversation: set options.template of "
                    f"ai.providers.{self.name} to one of {', '.join(TEMPLATES)}, or ask /v1/completions.",
                    param="model",
                )
            case Chat() | Complete():
                return await self._generate(request, words)
            case Embed():
                outgoing = encode_infer(words, self._tensors, provider=self.name)
                texts = len(words.inputs)
                whole = partial(decode_infer, tensors=self._tensors, texts=texts, provider=self.name)
                return await self._ask(request, "infer", outgoing, whole)
            case _:
                raise ModelNotCapable(f"{self.name} has no {request.kind} API.", param="model")

    async def _generate(self, request: Request, words: Chat | Complete) -> Reply:
        outgoing = encode_generate(words, self._generating, provider=self.name, stream=request.stream)
        whole = partial(decode_whole, provider=self.name, model=request.model or "")
        return await self._ask(request, "generate_stream" if request.stream else "generate", outgoing, whole)

    async def _ask(self, request: Request, action: str, outgoing: Outgoing, whole: Callable[[bytes], Event]) -> Reply:
        name, model, frame_bytes = self.name, request.model or "", self._settings.frame_bytes
        codec = ProviderCodec(
            error=partial(decode_error, provider=name, model=model),
            whole=whole,
            reader=lambda: StreamReader(provider=name, model=model, frame_bytes=frame_bytes),
        )
        path = f"{path_of(model)}/{action}"
        return await ask(self._upstream, path, outgoing, request=request, settings=self._settings, codec=codec)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Those of the settings, or what is in the repository. KServe's servers may have no list: then the settings'
        are all that is known."""
        if self._settings.models:
            return self._settings.named
        try:
            return infos(await self._listed(), self.name)
        except (ModelNotFound, UpstreamRejected):
            return ()

    async def _listed(self) -> list[Listed]:
        async with await self._upstream.send("POST", INDEX, body=b"{}") as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name))
            return decode_index(await answer.whole(self._settings.answer_bytes), provider=self.name)

    async def load(self, model: str, report: Report) -> None:
        """Have Triton load a model of its repository; it does so where it was started with explicit control."""
        name, _ = parted(model)
        report(Progress(status="loading"))
        path = f"/v2/repository/models/{segment(name)}/load"
        async with await self._upstream.send("POST", path, body=b"{}") as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=model))
            await answer.whole(self._settings.answer_bytes)
        report(Progress(status="loaded"))

    async def health(self) -> Health:
        """Whether the server says that it is ready: all its models are loaded then."""
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S, known=self._settings.models)

    async def _look(self) -> Health:
        known = self._settings.models
        async with await self._upstream.send("GET", READY) as answer:
            status = answer.status
        if status == 200:
            return Health(name=self.name, status=HealthStatus.HEALTHY, models=known, detail=self._advice())
        detail = f"{self.name} answers HTTP {status} to {READY}: a model of its repository is not loaded."
        return Health(name=self.name, status=HealthStatus.UNHEALTHY, models=known, detail=detail)

    def _advice(self) -> str | None:
        """How to chat, unless the server is there to embed."""
        if self._generating.template is not None or "embedding" in self._settings.options:
            return None
        return f"{self.name} completes texts. To chat too, set options.template of ai.providers.{self.name}."

    async def close(self) -> None:
        self._upstream.close()


def parted(model: str) -> tuple[str, str]:
    """A model's name and its version, which may be empty."""
    name, _, version = model.rpartition("@")
    return (name, version) if name and version else (model, "")


def path_of(model: str) -> str:
    name, version = parted(model)
    return f"/v2/models/{segment(name)}" + (f"/versions/{segment(version)}" if version else "")


def infos(listed: Iterable[Listed], provider: str) -> tuple[ModelInfo, ...]:
    """Each model once, then each of its versions."""
    by_name: dict[str, list[Listed]] = {}
    for one in listed:
        by_name.setdefault(one.name, []).append(one)
    found: list[ModelInfo] = []
    for name, versions in by_name.items():
        loaded = any(one.state in (None, "READY") for one in versions)
        reasons = {one.reason for one in versions if one.reason}
        description = "; ".join(sorted(reasons))[:500] or None
        found.append(ModelInfo(name=name, provider=provider, loaded=loaded, description=description))
        found += [
            ModelInfo(name=f"{name}@{one.version}", provider=provider, loaded=one.state in (None, "READY"))
            for one in versions
            if one.version
        ]
    return tuple(found)


def generating_of(settings: ProviderSettings) -> Generating:
    """How text is generated. Raises ValueError."""
    where = f"ai.providers.{settings.name}: options"
    options = settings.options
    backend, template = options.get("backend", Backend.VLLM), options.get("template")
    most = options.get("max_tokens", Generating().max_tokens)
    if backend not in list(Backend):
        raise ValueError(f"{where}.backend has to be one of {', '.join(Backend)}")
    if template is not None and template not in TEMPLATES:
        raise ValueError(f"{where}.template has to be one of {', '.join(TEMPLATES)}")
    if type(most) is not int or most < 1:
        raise ValueError(f"{where}.max_tokens has to be a number of tokens")
    chosen = None if template is None else TEMPLATES[str(template)]
    return Generating(backend=Backend(str(backend)), template=chosen, max_tokens=most)


def tensors_of(settings: ProviderSettings) -> Tensors:
    """The names of an embedding model's tensors. Raises ValueError."""
    where = f"ai.providers.{settings.name}: options.embedding"
    told = settings.options.get("embedding", {})
    if not isinstance(told, Mapping) or not set(told) <= {"input", "output", "batched"}:
        raise ValueError(f"{where} holds input, output and batched")
    names = {name: told[name] for name in ("input", "output") if name in told}
    batched = told.get("batched", True)
    if not all(isinstance(name, str) and name for name in names.values()) or not isinstance(batched, bool):
        raise ValueError(f"{where}: input and output are names of tensors, batched is true or false")
    return Tensors(is_batched=batched, **names)
