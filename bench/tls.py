#!/usr/bin/env python3
"""Farmgate in front of a TLS upstream: 500 streams of 20 chunks/s, the gate alone on core 0.

    .venv/bin/python bench/tls.py

Needs what compare.py needs, nginx and openssl. nginx ends TLS in front of mock_upstream on core 1, where the load runs too; its certificate is made here and
trusted through SSL_CERT_FILE. Prints the row of compare.py's table, and one for the same load without TLS.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import compare

HERE = Path(__file__).resolve().parent
PORT = 9143
NGINX = """worker_processes 1; daemon off; pid {home}/pid; error_log {home}/err; events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; proxy_buffering off;
 client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
 upstream u {{ server 127.0.0.1:{mock}; keepalive 2048; keepalive_requests 100000000; }}
 server {{ listen 127.0.0.1:{port} ssl backlog=8192; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;
  location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://u; }} }} }}
"""


def certificate(home: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(home / "key.pem"),
            "-out",
            str(home / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int, default=500)
    options.add_argument("--seconds", type=int, default=8)
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache/farmgate-bench")
    args = options.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    for tool in ("mock_upstream", "sse_load"):
        compare.sh(["cc", "-O2", "-o", str(args.cache / tool), str(HERE / f"{tool}.c")])
    home = Path(tempfile.mkdtemp(prefix="farmgate-tls-"))
    certificate(home)
    (home / "nginx.conf").write_text(NGINX.format(home=home, port=PORT, mock=compare.MOCK))
    os.environ["SSL_CERT_FILE"] = str(home / "cert.pem")
    mock = [str(args.cache / "mock_upstream"), str(compare.MOCK), "--ttft", "100", "--gap", "50", "--chunks", "40"]
    running = [
        subprocess.Popen(["taskset", "-c", "1", *mock]),
        subprocess.Popen(["taskset", "-c", "1", "nginx", "-c", str(home / "nginx.conf")]),
    ]
    try:
        time.sleep(0.5)
        print(
            "| system | first answer s | req/s (32) | p50 us (1) | p99 us (1) | MB rest / load | chunks/s | chunk p50 us | chunk p99 us | CPU % | errors |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name, config in (("farmgate, TLS", "farm.tls.config.yaml"), ("farmgate, plain", "farm.config.yaml")):
            command = [
                str(Path(sys.executable).parent / "farmgate"),
                "serve",
                "--config",
                str(HERE / config),
                "--port",
                "8000",
            ]
            print(compare.measure(name, command, 8000, compare.CHAT, {}, "gpt-4o-mini", args), flush=True)
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
