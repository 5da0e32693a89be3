"""The providers Farmgate knows by name. One that speaks OpenAI is a row here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from farmgate.core.model import Capability
from farmgate.wire.openai.quirks import PLAIN, Quirks

__all__ = [
    "CODED",
    "LOCAL",
    "ROWS",
    "Coded",
    "Row",
    "is_cloud",
    "key_variable",
    "key_variables",
    "tells",
    "version_joint",
]

ALL = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING, Capability.TOOLS})
MEDIA = frozenset({Capability.IMAGE, Capability.SPEECH, Capability.TRANSCRIPTION})
AUDIO = frozenset({Capability.SPEECH, Capability.TRANSCRIPTION})
CHAT_ONLY = frozenset({Capability.CHAT, Capability.TOOLS})
NO_EMBEDDINGS = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.TOOLS})
NO_COMPLETIONS = frozenset({Capability.CHAT, Capability.EMBEDDING, Capability.TOOLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One OpenAI-compatible provider. Capabilities say what its API has, not what each of its models can.

    `url` includes the version path; `key_variable` is the environment variable its key is read from; `asks_usage`:
    it knows `stream_options.include_usage`; `is_local`: its usual address is on this machine and needs no key;
    `lists_models`: it has `/models`; `is_generic`: its name stands for servers elsewhere too, without its quirks;
    `quirks`: where it differs from OpenAI, as its documentation says; `has_responses`: at its usual address it has the
    Responses API too; `tells`: its list of models says more than their names; `load_path`: where,
    from the root of its address, it tells how busy it is.
    """

    url: str
    key_variable: str | None = None
    capabilities: frozenset[Capability] = ALL
    asks_usage: bool = True
    is_local: bool = False
    tells: bool = False
    load_path: str | None = None
    lists_models: bool = True
    is_generic: bool = False
    quirks: Quirks = PLAIN
    has_responses: bool = False

    def quirks_at(self, url: str | None) -> Quirks:
        """How requests are written for a server of this kind at an address; None: its own."""
        if url is None or not self.is_generic:
            return self.quirks
        host, own = urlsplit(url).hostname or "", urlsplit(self.url).hostname or ""
        is_own = f".{host}".endswith("." + ".".join(own.split(".")[-2:]))
        return self.quirks if is_own else PLAIN


OPENAIS = Quirks(unknown=frozenset({"top_k"}), renamed={"max_tokens": "max_completion_tokens"}, has_developer=True)
"""`max_tokens` is deprecated, and refused by models that reason.
Source: https://platform.openai.com/docs/api-reference/chat/create"""
MISTRALS = Quirks(
    unknown=frozenset({"top_k", "logprobs", "top_logprobs", "user"}),
    unknown_in_messages=frozenset({"name"}),
    renamed={"seed": "random_seed"},
)
"""It answers 422 to any field it does not have; usage comes unasked. Source: https://docs.mistral.ai/api"""
GROQS = Quirks(unknown=frozenset({"top_k", "logprobs", "top_logprobs"}), unknown_in_messages=frozenset({"name"}))
"""Source: https://console.groq.com/docs/openai"""
CEREBRAS = Quirks(unknown=frozenset({"top_k", "presence_penalty", "frequency_penalty"}))
"""Source: https://inference-docs.cerebras.ai/resources/openai"""
MINIMAX = Quirks(unknown=frozenset({"presence_penalty", "frequency_penalty"}))
"""It passes over them in silence. Source: https://platform.minimax.io/docs/api-reference/text-openai-api"""

ROWS: dict[str, Row] = {
    "openai": Row(
        url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        capabilities=ALL | MEDIA | {Capability.MODERATION},
        has_responses=True,
        is_generic=True,
        quirks=OPENAIS,
    ),
    # Engines on this machine or in the cluster, at the port each uses by itself.
    "vllm": Row(
        url="http://127.0.0.1:8001/v1",
        key_variable="VLLM_API_KEY",
        is_local=True,
        tells=True,
        load_path="/metrics",
        capabilities=ALL | {Capability.RERANK, Capability.TRANSCRIPTION},
    ),
    "tgi": Row(url="http://127.0.0.1:8080/v1", is_local=True, load_path="/metrics", capabilities=CHAT_ONLY),
    "trtllm": Row(
        url="http://127.0.0.1:8002/v1", is_local=True, load_path="/prometheus/metrics", capabilities=NO_EMBEDDINGS
    ),
    "sglang": Row(url="http://127.0.0.1:30000/v1", is_local=True, tells=True, load_path="/metrics"),
    "llamacpp": Row(
        url="http://127.0.0.1:8080/v1",
        key_variable="LLAMA_API_KEY",
        is_local=True,
        tells=True,
        load_path="/metrics",
        capabilities=ALL | {Capability.RERANK},
    ),
    "lmstudio": Row(url="http://127.0.0.1:1234/v1", is_local=True),
    # Ray's own port is 8000, which is Farmgate's too.
    "rayserve": Row(url="http://127.0.0.1:8003/v1", is_local=True),
    "bentoml": Row(url="http://127.0.0.1:3000/v1", is_local=True, capabilities=NO_EMBEDDINGS),
    # In the cloud.
    "openrouter": Row(
        url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY", capabilities=NO_EMBEDDINGS, tells=True
    ),
    "groq": Row(
        url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        capabilities=CHAT_ONLY | AUDIO,
        tells=True,
        quirks=GROQS,
    ),
    "mistral": Row(
        url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        tells=True,
        capabilities=NO_COMPLETIONS | {Capability.MODERATION, Capability.TRANSCRIPTION},
        asks_usage=False,
        quirks=MISTRALS,
    ),
    "deepseek": Row(url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY", capabilities=CHAT_ONLY),
    "together": Row(
        url="https://api.together.xyz/v1",
        key_variable="TOGETHER_API_KEY",
        tells=True,
        capabilities=ALL | MEDIA | {Capability.RERANK},
    ),
    "fireworks": Row(url="https://api.fireworks.ai/inference/v1", key_variable="FIREWORKS_API_KEY", tells=True),
    "huggingface": Row(
        url="https://router.huggingface.co/v1", key_variable="HUGGINGFACE_TOKEN", capabilities=CHAT_ONLY
    ),
    "xai": Row(url="https://api.x.ai/v1", key_variable="XAI_API_KEY", capabilities=CHAT_ONLY),
    "cerebras": Row(
        url="https://api.cerebras.ai/v1", key_variable="CEREBRAS_API_KEY", capabilities=NO_EMBEDDINGS, quirks=CEREBRAS
    ),
    "sambanova": Row(url="https://api.sambanova.ai/v1", key_variable="SAMBANOVA_API_KEY", capabilities=NO_COMPLETIONS),
    "nvidia": Row(url="https://integrate.api.nvidia.com/v1", key_variable="NVIDIA_API_KEY", capabilities=CHAT_ONLY),
    "nebius": Row(
        url="https://api.tokenfactory.nebius.com/v1", key_variable="NEBIUS_API_KEY", capabilities=NO_COMPLETIONS
    ),
    "deepinfra": Row(url="https://api.deepinfra.com/v1/openai", key_variable="DEEPINFRA_API_KEY"),
    "moonshot": Row(url="https://api.moonshot.ai/v1", key_variable="MOONSHOT_API_KEY", capabilities=CHAT_ONLY),
    "zai": Row(url="https://api.z.ai/api/paas/v4", key_variable="ZAI_API_KEY", capabilities=CHAT_ONLY),
    "minimax": Row(
        url="https://api.minimax.io/v1", key_variable="MINIMAX_API_KEY", capabilities=CHAT_ONLY, quirks=MINIMAX
    ),
    "dashscope": Row(
        url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_variable="DASHSCOPE_API_KEY",
        capabilities=NO_COMPLETIONS,
    ),
    "perplexity": Row(
        url="https://api.perplexity.ai",
        key_variable="PERPLEXITY_API_KEY",
        capabilities=frozenset({Capability.CHAT}),
        lists_models=False,
        quirks=Quirks(refused=frozenset({"tools"})),
    ),
    "vercel": Row(
        url="https://ai-gateway.vercel.sh/v1", key_variable="AI_GATEWAY_API_KEY", capabilities=NO_COMPLETIONS
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A provider with a module of its own: `make` is its class, imported when one is configured.

    `key_variable` is the environment variable its key is read from. `is_cloud`: it may be asked for models nobody
    listed, and its own list is not fetched just to route. `works_by_key`: its key is all it needs, so finding one in
    the environment is reason enough to offer it. `version_joint` stands between a model and its version.
    `learns`: it can find out more of its models than it takes to list them.
    """

    make: str
    key_variable: str | None = None
    is_cloud: bool = False
    works_by_key: bool = True
    version_joint: str = "-"
    learns: bool = False


CODED: dict[str, Coded] = {
    "anthropic": Coded(
        make="farmgate.providers.anthropic:AnthropicProvider", key_variable="ANTHROPIC_API_KEY", is_cloud=True
    ),
    "demo": Coded(make="farmgate.providers.demo:DemoProvider"),
    "ollama": Coded(make="farmgate.providers.ollama:OllamaProvider", version_joint=":", learns=True),
    "gemini": Coded(make="farmgate.providers.gemini:GeminiProvider", key_variable="GEMINI_API_KEY", is_cloud=True),
    "vertex": Coded(make="farmgate.providers.vertex:VertexProvider", is_cloud=True, version_joint="@"),
    "azure": Coded(
        make="farmgate.providers.azure:AzureProvider",
        key_variable="AZURE_OPENAI_API_KEY",
        is_cloud=True,
        works_by_key=False,
    ),
    # A region has to be named, and may not be guessed: prompts would go there.
    "bedrock": Coded(
        make="farmgate.providers.bedrock:BedrockProvider",
        key_variable="AWS_BEARER_TOKEN_BEDROCK",
        is_cloud=True,
        works_by_key=False,
    ),
    "sagemaker": Coded(make="farmgate.providers.sagemaker:SageMakerProvider", is_cloud=True),
    "cohere": Coded(make="farmgate.providers.cohere:CohereProvider", key_variable="COHERE_API_KEY", is_cloud=True),
    "triton": Coded(make="farmgate.providers.triton:TritonProvider", version_joint="@"),
}

LOCAL = "local"
"""The embedded engines: a provider that is made of more than its settings."""


def version_joint(kind: str) -> str:
    """What stands between a model's name and its version."""
    return CODED[kind].version_joint if kind in CODED else "-"


def key_variable(kind: str) -> str | None:
    """The environment variable a provider's key is read from."""
    known = ROWS.get(kind) or CODED.get(kind)
    return known.key_variable if known else None


def key_variables() -> dict[str, str]:
    """The providers in the cloud that need nothing but a key, each with its variable."""
    rows = {name: row.key_variable for name, row in ROWS.items() if not row.is_local}
    coded = {name: one.key_variable for name, one in CODED.items() if one.is_cloud and one.works_by_key}
    return {name: variable for name, variable in (rows | coded).items() if variable}


def tells(kind: str, *, is_asked: bool) -> bool:
    """Whether there is more to learn of its models than routing needs. `is_asked`: its list is fetched to route."""
    if kind in ROWS:
        return ROWS[kind].tells and not is_asked
    return kind in CODED and CODED[kind].learns


def is_cloud(kind: str) -> bool:
    """Whether it has models by the hundred that nobody lists just to route."""
    return not ROWS[kind].is_local if kind in ROWS else kind in CODED and CODED[kind].is_cloud
