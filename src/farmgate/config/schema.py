"""The shape of `farm.config.yaml`: every setting with its default, range and meaning. camelCase is canonical."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from farmgate.config.environment import ENVIRONMENTS
from farmgate.config.limits import Drain, Limits
from farmgate.config.records import Journal, Log, Responses
from farmgate.config.sections import (
    Ability,
    Adapters,
    ApiSecret,
    Headers,
    Label,
    Millis,
    ModelSource,
    Name,
    Pause,
    Queued,
    Seconds,
    Section,
    Span,
    Tokens,
    Url,
    Usd,
    Weight,
    Whole,
)

__all__ = [
    "Ai",
    "Attempts",
    "Drain",
    "Features",
    "Journal",
    "KeyEntry",
    "Limits",
    "LocalModel",
    "Log",
    "Model",
    "Probe",
    "Provider",
    "Rates",
    "Responses",
    "Root",
    "Route",
    "Server",
    "Target",
    "Timeouts",
]


SLEEPERS = ("vllm", "sglang")
ADAPTERLESS = ("python", "onnx", "command")


class Server(Section):
    """Where Farmgate listens and what it accepts."""

    host: str = Field(
        "127.0.0.1", min_length=1, max_length=253, description="Address to listen on. Not loopback: needs a key."
    )
    port: Whole = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    limits: Limits = Field(default_factory=Limits, description="What one caller may send or hold.")
    drain: Drain = Field(default_factory=Drain, description="How the server stops.")


class KeyEntry(Section):
    """One API key of a caller: a name, and either the key or its SHA-256."""

    name: str = Field(description="Name shown in usage and logs; never secret.")
    key: SecretStr | None = Field(None, description="The key, at least 16 characters: write ${VAR} or ${file:/path}.")
    sha256: str | None = Field(None, description="SHA-256 of the key in hexadecimal, instead of the key itself.")
    admin: bool = Field(False, description="Whether it may use /api/admin: see and change what runs.")


class Timeouts(Section):
    """How long a provider may take, in seconds."""

    connect_s: Seconds = Field(5, description="Time to connect.")
    first_byte_s: Seconds = Field(120, description="Time from the request to the first byte of the answer.")
    idle_s: Seconds = Field(60, description="Longest silence within an answer.")


class Provider(Section):
    """One provider of models."""

    provider: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*(:[A-Za-z_][A-Za-z0-9_]*)?$",
        max_length=256,
        description="Type of provider, or module:Class for your own. Default: the entry's own name.",
    )
    enabled: bool = Field(True, description="Whether it may be asked.")
    url: Url | None = Field(None, description="Address of its API, http or https.")
    api_key: ApiSecret | None = Field(None, description="Its API key: write ${VAR} or ${file:/path}.")
    models: tuple[Name, ...] = Field((), description="Models to offer. Empty: whatever the provider lists.")
    default_model: Name | None = Field(None, description="Model for requests that name none.")
    auto_start: bool = Field(False, description="Start it when it is installed and not running.")
    auto_pull: tuple[Name, ...] = Field((), description="Models to download at start.")
    device: Name | None = Field(None, description="Device for local models: auto, cpu, cuda, mps.")
    parallel: Whole | None = Field(
        None, ge=1, le=100_000, description="Requests each model answers at the same time; others wait. None: no limit."
    )
    queue: Queued = Field(128, description="Most requests that wait for their turn, where `parallel` is set.")
    queue_timeout_s: Seconds = Field(60, description="Time a request waits for its turn, where `parallel` is set.")
    headers: Headers = Field(
        default_factory=dict, repr=False, description="Headers added to every request; shown masked."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long it may take.")
    options: Mapping[str, object] = Field(
        default_factory=dict, repr=False, description="Anything else this type of provider takes."
    )


class Rates(Section):
    """What a model costs, in US dollars per million tokens."""

    input: Usd = Field(description="Dollars per million tokens of the prompt.")
    output: Usd | None = Field(None, description="Dollars per million tokens of the answer.")
    cached_input: Usd | None = Field(
        None, description="Dollars per million tokens read from the provider's cache. None: as input."
    )
    cache_write: Usd | None = Field(
        None, description="Dollars per million tokens written to the provider's cache. None: as input."
    )


class Model(Section):
    """What is known of a model, instead of what its provider lists or what is published."""

    context_tokens: Tokens | None = Field(None, description="Longest prompt and answer together.")
    max_output_tokens: Tokens | None = Field(None, description="Longest answer.")
    capabilities: tuple[Ability, ...] | None = Field(
        None,
        description="All it can beyond text: what is not in the list is refused. None: as its provider lists.",
    )
    price: Rates | None = Field(None, description="What it costs. None: as its provider lists or as published.")


class Features(Section):
    """What is switched on."""

    streaming: bool = Field(True, description="Answer in streams. Off: requests for a stream are refused.")
    caching: bool = Field(False, description="Answer repeated requests from a cache. Not built yet.")
    rate_limiting: bool = Field(False, description="Limit requests per caller. Not built yet.")
    fallback: bool = Field(True, description="Ask another target when one fails.")


class Target(Section):
    """One provider's model behind a name. Written as `provider/model` alone where nothing else is said."""

    shorthand = "target"

    target: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}/[!-~]+$", max_length=512)] = Field(
        description="`provider/model`; `*` in the model stands for what the `*` of the route's name matched."
    )
    weight: Weight = Field(1, description="Share of the requests among targets of the same priority.")
    priority: Whole = Field(0, ge=0, le=100, description="The lowest is asked first; others when all before it fail.")
    region: Name | None = Field(None, description="Where it is: targets in `ai.region` come before others.")
    quota: Name | None = Field(
        None, description="Name of a rate limit it shares: all that share it rest when one of them is limited."
    )


class Route(Section):
    """What a name leads to. Written as a target alone, or a list of targets, where nothing else is said."""

    shorthand = "targets"

    targets: tuple[Target, ...] = Field(min_length=1, max_length=64, description="Who may answer.")
    balance: Literal["leastInFlight", "weighted", "latency", "cost", "engineLoad"] = Field(
        "leastInFlight",
        description="Which target is asked first: the one with the fewest requests in flight, by weight, "
        "the one quickest to its first token, the cheapest, or the engine that is least busy by its own words.",
    )
    sticky: Literal["off", "caller", "session"] = Field(
        "off",
        description="What stays with one target: the requests of one key, or those with the same `prompt_cache_key`, "
        "`safety_identifier` or `user`.",
    )
    fallback: tuple[Name, ...] = Field(
        (), max_length=16, description="Names asked, in order and once each, when no target could answer."
    )


class Attempts(Section):
    """How often and how long targets are tried for one request, before anything of an answer is sent."""

    retries: Whole = Field(2, ge=0, le=5, description="Most further calls of a target that failed in passing.")
    calls: Whole = Field(4, ge=1, le=10, description="Most calls for one request, of all targets together.")
    first_content_s: Seconds = Field(
        30, description="Longest wait for a target's first content while another is left to ask."
    )
    hedge: bool = Field(
        False,
        description="Ask a second target where a whole answer takes longer than 95 of 100; for 5 % of the requests.",
    )


class Ai(Section):
    """Providers, and which of them answers."""

    providers: Mapping[str, Provider] = Field(default_factory=dict, description="Providers by name.")
    routing: Mapping[str, str] = Field(
        default_factory=dict,
        description="Provider that answers when a request names none, by environment.",
        json_schema_extra={"propertyNames": {"enum": list(ENVIRONMENTS)}},
    )
    default_model: Name | None = Field(
        None, description="Model for requests that name none, instead of the provider's own default."
    )
    models: Mapping[str, Model] = Field(
        default_factory=dict, description="What is known of models, by provider/model or by model of any provider."
    )
    routes: Mapping[str, Route] = Field(
        default_factory=dict,
        description="Names of your own for models, each with its targets. `*` in a name matches anything.",
    )
    region: Name | None = Field(None, description="Where this Farmgate runs: targets there come before others.")
    attempts: Attempts = Field(default_factory=Attempts, description="How often and how long targets are tried.")
    features: Features = Field(default_factory=Features, description="What is switched on.")


class Probe(Section):
    """What a new version of a model is asked before it takes over."""

    ask: str = Field(min_length=1, max_length=4096, description="The question; it is asked at temperature 0.")
    expect: str = Field(min_length=1, max_length=4096, description="A text that the answer must hold.")


class LocalModel(Section):
    """A model on this machine, by a name of your own. Written as its source alone where nothing else is said."""

    shorthand = "source"

    source: ModelSource | None = Field(
        None,
        description="A pulled model, a GGUF file, the folder of a Hugging Face checkpoint, an ONNX graph or its "
        "folder, a class of your own, such as ./sentiment.py:Sentiment, or where it is pulled from: hf:owner/name, "
        "https://host/model.gguf.",
    )
    versions: Mapping[Label, ModelSource] = Field(
        default_factory=dict, description="Several sources by version, instead of one: `farmgate swap` goes between."
    )
    version: Label | None = Field(None, description="The version that answers. None: the first of `versions`.")
    engine: Literal["llamacpp", "transformers", "vllm", "sglang", "tgi", "command", "python", "onnx"] | None = Field(
        None,
        description="Who serves it. None: llamacpp for GGUF files, transformers for folders of checkpoints, onnx for "
        "graphs, python for classes.",
    )
    command: tuple[Name, ...] = Field(
        (),
        max_length=256,
        description="A server of your own that speaks OpenAI, for `engine: command`; "
        "{path}, {port}, {name}, {context}, {parallel}, {gpus}, {share} and {share_of_free} are put in.",
    )
    ready: str = Field(
        "/health",
        pattern=r"^/[!-~]*$",
        max_length=256,
        description="The path that answers 200 when it is ready.",
    )
    arguments: tuple[Name, ...] = Field(
        (), max_length=256, description="More arguments for the command of vllm, sglang, tgi or your own."
    )
    adapters: Adapters = Field(
        default_factory=dict,
        description="LoRA adapters by name, each asked for as `model:name`: GGUF files for llamacpp, folders as peft "
        "saves them for transformers, vllm, sglang and tgi. A list of paths names each after its folder or file.",
    )
    memory_mib: Whole | None = Field(
        None, ge=1, le=1 << 30, description="Memory it takes, in MiB. None: reckoned from its files."
    )
    device: Name = Field("auto", description="Where it goes: auto, cpu, gpu, or one device such as gpu1.")
    context: Tokens | None = Field(None, description="Tokens of one request, prompt and answer together.")
    parallel: Whole | None = Field(
        None,
        ge=1,
        le=1024,
        description="Requests it answers at the same time. None: 4; for python and onnx two batches full.",
    )
    max_batch: Whole = Field(
        32, ge=1, le=512, description="Inputs computed at once, of whichever requests; for python and onnx."
    )
    max_wait_ms: Millis = Field(
        5, description="Milliseconds an input waits for others to be computed with; for python and onnx."
    )
    threads: Whole | None = Field(None, ge=1, le=1024, description="Processor threads it computes with.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Numbers it computes with, for transformers. auto: the checkpoint's own on a GPU, float32 on a "
        "processor.",
    )
    quantize: Literal["none", "4bit", "8bit"] = Field(
        "none", description="Its weights are made so small while they are loaded; for transformers, on a GPU."
    )
    ttl_s: Pause | None = Field(
        None, description="Seconds after its last request at which it leaves. None: when another needs the room."
    )
    sleep: bool = Field(
        False,
        description="Instead of leaving it sleeps, with its weights in the memory of the machine, and wakes when it is "
        "asked; for vllm and sglang.",
    )
    pin: bool = Field(False, description="It never leaves by itself, nor for another model.")
    priority: Whole = Field(0, ge=-100, le=100, description="Of two that could leave, the one with the lower does.")
    prewarm: bool = Field(False, description="Load it at the start, before anybody asks.")
    hours: tuple[Span, ...] = Field(
        (), max_length=32, description="When it is kept loaded, as `Mon-Fri 08:00-18:00`, by the machine's clock."
    )
    auto_pull: bool = Field(True, description="`farmgate dev` gets it at its start where its source is hf: or https:.")
    queue: Queued = Field(128, description="Most requests that wait for their turn.")
    queue_timeout_s: Seconds = Field(60, description="Time a request waits for its turn.")
    kept_s: Pause = Field(600, description="Seconds a version that was replaced stays loaded: rollback is instant.")
    probe: Probe | None = Field(None, description="What a new version must answer before it takes over.")

    @model_validator(mode="after")
    def has_what_answers(self) -> LocalModel:
        if (self.source is None) == (not self.versions):
            raise ValueError("must have either `source` or `versions`")
        if self.versions and self.version is not None and self.version not in self.versions:
            raise ValueError("must name in `version` one of its `versions`")
        if (self.engine == "command") == (not self.command):
            raise ValueError("must have a `command` with `engine: command`, and with no other")
        if self.sleep and self.engine not in SLEEPERS:
            raise ValueError(
                "must have `sleep` with `engine: vllm` or `engine: sglang` alone: no other gives its GPU up without "
                "ending"
            )
        if (self.dtype, self.quantize) != ("auto", "none") and not self._may_be_a_checkpoint:
            raise ValueError(
                "must have `dtype` and `quantize` with folders of checkpoints and `engine: transformers` alone: "
                "other servers take theirs in `arguments`, and files have what they have"
            )
        if self.adapters:
            self.check_adapters()
        return self

    def check_adapters(self) -> None:
        if self.engine in ADAPTERLESS:
            raise ValueError(f"must have no `adapters`: {self.engine} takes none")
        is_gguf = self.engine == "llamacpp" or (
            self.engine is None and all(source.lower().endswith(".gguf") for source in self.sources.values())
        )
        for path in self.adapters.values():
            if is_gguf != path.lower().endswith(".gguf") and (is_gguf or self.engine is not None):
                wanted = "GGUF files, which llama.cpp takes" if is_gguf else "folders as peft saves them"
                raise ValueError(f"must have `adapters` that are {wanted}, and {path!r} is none")

    @property
    def _may_be_a_checkpoint(self) -> bool:
        """Of a pulled model only its files tell."""
        others = (".gguf", ".onnx")
        is_other = any(source.endswith(others) or ".py:" in source for source in self.sources.values())
        return self.engine == "transformers" or (self.engine is None and not is_other)

    @property
    def sources(self) -> Mapping[str, str]:
        """Every version with its source."""
        return self.versions or {self.current: str(self.source)}

    @property
    def current(self) -> str:
        """The version that answers."""
        return self.version or next(iter(self.versions), "1")


class Root(Section):
    """Farmgate's configuration."""

    schema_: str | None = Field(None, alias="$schema", description="Address of this schema, for editors.")
    version: Literal[1] = Field(1, description="Version of the format.")
    server: Server = Field(default_factory=Server, description="Where Farmgate listens and what it accepts.")
    keys: tuple[KeyEntry, ...] = Field((), description="API keys of callers.")
    key_file: str | None = Field(
        None,
        min_length=1,
        description="File with more keys, one `name key` or `name sha256` per line; ` admin` behind it for an admin.",
    )
    ai: Ai = Field(default_factory=Ai, description="Providers, and which of them answers.")
    models: Mapping[str, LocalModel] = Field(
        default_factory=dict, description="Models on this machine, by names of your own."
    )
    journal: Journal = Field(default_factory=Journal, description="The local record of every call.")
    responses: Responses = Field(
        default_factory=Responses, description="Where answers of the Responses API are kept, with what was asked."
    )
    log: Log = Field(default_factory=Log, description="What is logged, and how.")
