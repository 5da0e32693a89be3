"""Before serving in development: start what `autoStart` names, pull what `autoPull` names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from farmgate.app.entries import settings_of
from farmgate.config import Config
from farmgate.config.process import variables
from farmgate.config.schema import Provider as Entry
from farmgate.core.errors import FarmError
from farmgate.core.locator import is_remote
from farmgate.core.ports import OwnWeights, Report
from farmgate.engines.ollama import Missing, Started, ensure
from farmgate.providers.ollama import OllamaProvider
from farmgate.surfaces.cli.house import Finding

__all__ = ["prepare"]

OLLAMA_URL = "http://127.0.0.1:11434"


async def prepare(
    config: Config, weights: OwnWeights, report: Callable[[str], Report], started: list[Callable[[], object]]
) -> tuple[Finding, ...]:
    """What was done, a line each. What was started is added to `started`, to be stopped at the end."""
    findings: list[Finding] = []
    for name, entry in config.ai.providers.items():
        if not entry.enabled:
            continue
        match entry.provider or name:
            case "ollama" if entry.auto_start or entry.auto_pull:
                findings += await prepare_ollama(name, entry, config, report, started)
            case "local" if entry.auto_pull:
                findings += await pull_weights(name, entry.auto_pull, weights, report)
    wanted = {
        source: name
        for name, entry in config.models.items()
        if entry.auto_pull
        for source in entry.sources.values()
        if is_remote(source)
    }
    for source, name in wanted.items():
        findings += await pull_weights(name, (source,), weights, report)
    return tuple(findings)


async def pull_weights(
    name: str, sources: Iterable[str], weights: OwnWeights, report: Callable[[str], Report]
) -> list[Finding]:
    """Get models for the embedded engines that are not there."""
    findings: list[Finding] = []
    for source in sources:
        if weights.source(source) is not None:
            continue
        try:
            await weights.fetch(source, report(source))
            findings.append(Finding(name=name, is_there=True, text=f"pulled {source}"))
        except FarmError as error:
            findings.append(Finding(name=name, is_there=False, text=f"{source} was not pulled: {error.message}"))
    return findings


async def prepare_ollama(
    name: str, entry: Entry, config: Config, report: Callable[[str], Report], started: list[Callable[[], object]]
) -> list[Finding]:
    found = await ensure(
        entry.url or OLLAMA_URL,
        log_directory=config.home / "log",
        start=entry.auto_start,
        environment=variables(),
    )
    if isinstance(found, Missing):
        return [Finding(name=name, is_there=False, text=found.detail)]
    if isinstance(found, Started):
        started.append(found.stop)
        said = f"started {found.version} at {found.url}; it is stopped with Farmgate"
    else:
        said = f"{found.version} runs at {found.url}; it is left as it is"
    return [Finding(name=name, is_there=True, text=said), *await pull_missing(name, entry, config, report)]


async def pull_missing(name: str, entry: Entry, config: Config, report: Callable[[str], Report]) -> list[Finding]:
    """Pull the models of `autoPull` that are not there."""
    provider = OllamaProvider(settings_of(name, entry, config))
    findings: list[Finding] = []
    try:
        here = {model.name.removesuffix(":latest") for model in await provider.models() if model.size_bytes}
        for model in entry.auto_pull:
            if model.removesuffix(":latest") in here:
                continue
            try:
                await provider.pull(model, report(model))
                findings.append(Finding(name=name, is_there=True, text=f"pulled {model}"))
            except FarmError as error:
                findings.append(Finding(name=name, is_there=False, text=f"{model} was not pulled: {error.message}"))
    except FarmError as error:
        findings.append(Finding(name=name, is_there=False, text=error.message))
    finally:
        await provider.close()
    return findings
