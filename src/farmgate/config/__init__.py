"""One frozen Config: its schema, the files it comes from, and where each value was said.

Importing this is cheap: parsers and the schema are imported when a configuration is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from farmgate.config.errors import ConfigError
from farmgate.config.origins import Origin
from farmgate.config.settings import Config
from farmgate.config.starter import EXAMPLE, Found, init_text

__all__ = [
    "EXAMPLE",
    "Config",
    "ConfigError",
    "Found",
    "Origin",
    "init_text",
    "json_schema",
    "load",
    "published_schema",
]


def load(
    path: Path | None = None,
    *,
    environment: str | None = None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Config:
    """Read the configuration. Strongest first: `overrides` (flags, by dotted path; None means not given), variables in
    `environ`, `.env.<environment>`, `.env`, the overlay file, the file, the defaults.

    `path` names the file; without it, FARM_CONFIG or the first `farm.config.*` from `cwd` upwards. No file at all is
    fine. Blocks: reads files, and runs node for a `.js` file. Raises ConfigError with every problem found.
    """
    from farmgate.config.loader import load_config

    return load_config(
        path,
        environment=environment,
        cwd=(cwd or Path.cwd()).absolute(),
        environ=dict(os.environ if environ is None else environ),
        overrides=overrides or {},
    )


def json_schema() -> dict[str, object]:
    """The JSON schema of the configuration file, as `farmgate config schema` prints it."""
    from farmgate.config import published

    return published.json_schema()


def published_schema() -> str:
    """The text of docs/farm.config.schema.json, which is generated from the schema."""
    from farmgate.config import published

    return published.published_schema()
