"""Stands in for vLLM, SGLang and TGI: python fake_lora_server.py KIND ARGUMENTS. What of adapters their documents say.

Names and answers: https://docs.vllm.ai/en/latest/features/lora/, https://docs.sglang.io/advanced_features/lora.html,
https://huggingface.co/docs/text-generation-inference/conceptual/lora. A folder whose name ends in `unloadable` cannot
be loaded. It answers with the adapter that a request's model means.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["vllm", "sglang", "tgi"])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--model-path", "--model-id")
    parser.add_argument("--host", "--hostname")
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    parser.add_argument("--max-model-len", "--context-length", "--max-total-tokens")
    parser.add_argument("--max-num-seqs", "--max-running-requests", "--max-concurrent-requests")
    parser.add_argument("--tensor-parallel-size", "--tp-size", "--num-shard")
    parser.add_argument("--gpu-memory-utilization", "--mem-fraction-static", "--cuda-memory-fraction")
    parser.add_argument("--enable-metrics", action="store_true")
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--max-lora-rank", type=int, choices=[8, 16, 32, 64, 128, 256, 320, 512])
    parser.add_argument("--lora-modules", nargs="+", default=[])
    parser.add_argument("--lora-paths", nargs="+", default=[])
    parser.add_argument("--lora-adapters", default="")
    return parser.parse_args(argv)


class Server:
    """Which adapters are loaded, by the names they were given."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.kind: str = given.kind
        self.name: str = given.served_model_name
        is_allowed = self.kind == "sglang" or os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "1"
        self.changes: bool = given.enable_lora and is_allowed
        modules = [json.loads(one) for one in given.lora_modules]
        self.loaded: dict[str, str] = {one["name"]: one["path"] for one in modules}
        short = [*given.lora_paths, *(one for one in given.lora_adapters.split(",") if one)]
        self.loaded |= dict(one.split("=", 1) for one in short)
        for name, path in self.loaded.items():
            if path.endswith("unloadable"):
                sys.exit(f"RuntimeError: Failed to load LoRA {name}")

    def change(self, path: str, body: dict[str, str]) -> tuple[int, object]:
        prefix = "/v1/" if self.kind == "vllm" else "/"
        name = body.get("lora_name", "")
        if not self.changes or not path.startswith(prefix):
            return 404, {"detail": "Not Found"}
        match path.removeprefix(prefix):
            case "load_lora_adapter" if name in self.loaded or body["lora_path"].endswith("unloadable"):
                return 400, {"error": {"message": f"The adapter {name} cannot be loaded.", "code": 400}}
            case "load_lora_adapter":
                self.loaded[name] = body["lora_path"]
                return 200, f"Success: LoRA adapter '{name}' added successfully."
            case "unload_lora_adapter" if self.loaded.pop(name, None) is not None:
                return 200, f"Success: LoRA adapter '{name}' removed successfully."
        return 404, {"error": {"message": f"The adapter {name} is not there.", "code": 404}}

    def meant(self, model: str) -> str | None:
        """The files of the adapter that a model's name means, empty for the model alone; None for no name of it."""
        if self.kind == "tgi":
            # Any other name is the model alone.
            return self.loaded.get(model, "")
        if model == self.name:
            return ""
        base, _, adapter = model.partition(":")
        if self.kind == "sglang":
            return self.loaded.get(adapter) if base == self.name else None
        return self.loaded.get(model)


def main(argv: Sequence[str]) -> None:
    given = arguments(argv)
    server = Server(given)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(200, {"status": "ok"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = os.environ.get("VLLM_API_KEY") or os.environ.get("API_KEY")
            if key is not None and self.path.startswith("/v1/") and self.headers["authorization"] != f"Bearer {key}":
                self.say(401, {"error": "Unauthorized"})
            elif self.path != "/v1/chat/completions":
                self.say(*server.change(self.path, body))
            elif (adapter := server.meant(body["model"])) is None:
                self.say(404, {"error": {"message": f"The model {body['model']} does not exist.", "code": 404}})
            else:
                self.say(200, {"model": body["model"], "choices": [{"message": {"content": adapter}}]})

        def say(self, status: int, told: object) -> None:
            data = told.encode() if isinstance(told, str) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """The log is for what goes wrong."""

    ThreadingHTTPServer((given.host, given.port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
