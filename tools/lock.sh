#!/usr/bin/env bash
# Compile the locks: hashes, no index lines, one file for every platform. Addresses stay out of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header "$@"; }
# hatchling and editables stand in run.in, so that the editable install builds from locked packages too.
compile pyproject.toml requirements/run.in --extra local -o requirements/run.txt
compile pyproject.toml requirements/run.in --extra local --extra clouds --group dev -c requirements/run.txt -o requirements/dev.txt
