#!/usr/bin/env bash
# Compile the locks: hashes, no index lines, one file for every platform. Addresses stay out of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header "$@"; }
# hatchling and editables stand in run.in, so that the editable install builds from locked packages too.
compile pyproject.toml requirements/run.in --extra local -o requirements/run.txt
compile pyproject.toml requirements/run.in --extra local --extra clouds --group dev -c requirements/run.txt -o requirements/dev.txt
# Clients that bring many dependencies: one lock each, so that none decides the others' versions. litellm is not welcome.
for asked in requirements/clients/*.in; do
  lock="${asked%.in}.txt"
  compile "$asked" -o "$lock"
  if grep -q '^litellm==' "$lock"; then echo "$lock: litellm came in" >&2; exit 1; fi
done
# The fuzzer: what the readers import has the versions of the gate.
compile requirements/fuzz.in -c requirements/run.txt -o requirements/fuzz.txt
# Training the guide. What torch brings along comes with torch.
compile requirements/guide.in -o requirements/guide.txt
# The transformers engine beside the gate and its test tools. What torch brings along comes with torch, here too.
compile requirements/transformers.in -c requirements/dev.txt --override requirements/without-torch.txt \
  $(printf -- '--no-emit-package %s ' torch mpmath networkx setuptools sympy) -o requirements/transformers.txt
# The ONNX engine beside the gate and its test tools.
compile requirements/onnx.in -c requirements/dev.txt -c requirements/transformers.txt -o requirements/onnx.txt
# What trains and converts the classic models of its tests.
compile requirements/classic.in -c requirements/dev.txt -c requirements/transformers.txt -c requirements/onnx.txt -o requirements/classic.txt
# The one in Node; its .npmrc leaves the addresses out.
(cd tests/live/clients/vercel && npm install --package-lock-only --no-audit --no-fund --silent)
