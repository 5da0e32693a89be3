#!/usr/bin/env python3
"""Gateways side by side in one run: each alone on core 0, the model server and the load on core 1.

    ./compare.py                         # every peer that can be installed here
    ./compare.py litellm tensorzero      # some of them
    ./compare.py --own 'farmgate serve --config bench.yaml --port 8000' --own-path /v1/chat/completions

Needs cc, wrk, python3 with venv, node and npm, curl. Peers are installed once into --cache (default ~/.cache/farmgate-bench).
Prints one Markdown row per system: first answer after start (s), requests/s with 32 connections, p50 and p99 with one connection
(us), resident memory (MB) at rest and under load, and for STREAMS open streams of 20 chunks/s: chunks delivered/s, p50 and p99 of a
chunk's way through (us), CPU used (% of the core), errors. `direct` is the model server alone, `nginx` the practical floor.
Absolute figures hold for one run on one machine only; quote ratios.
"""

import argparse, json, os, re, shutil, signal, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEY = "sk-bench-7f3b9c21d8e64a05b1c2"
MOCK = 9100
CHAT = "/v1/chat/completions"
BODY = {
    "model": "gpt-4o-mini",
    "temperature": 0.7,
    "max_tokens": 100,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello, how are you? Please tell me about gateways in a few sentences."},
    ],
}


def sh(cmd, **kw):
    return subprocess.run(cmd, shell=isinstance(cmd, str), check=True, text=True, capture_output=True, **kw).stdout


def venv(cache, name, *packages):
    home = cache / name
    if not (home / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)
        (home / "done").touch()
    return home / "bin"


def litellm(cache):
    bin = venv(cache, "litellm", "litellm[proxy]")
    conf = cache / "litellm.yaml"
    conf.write_text(f"""model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:{MOCK}/v1", api_key: sk-x}}
general_settings: {{master_key: {KEY}}}
litellm_settings: {{telemetry: false}}
""")
    return (
        [str(bin / "litellm"), "--config", str(conf), "--port", "9401", "--host", "127.0.0.1"],
        9401,
        CHAT,
        {},
        "gpt-4o-mini",
    )


def tensorzero(cache):
    bin = venv(cache, "tensorzero", "tensorzero")
    conf = cache / "tensorzero.toml"
    conf.write_text(f"""[gateway]
observability.enabled = false
[models.m]
routing = ["mock"]
[models.m.providers.mock]
type = "openai"
model_name = "gpt-4o-mini"
api_base = "http://127.0.0.1:{MOCK}/v1/"
api_key_location = "none"
""")
    code = (
        "import sys,time;from tensorzero.tensorzero import _start_http_gateway as s;"
        f"g=s(config_file={str(conf)!r},clickhouse_url=None,postgres_url=None,valkey_url=None,async_setup=False);"
        f"open({str(cache / 'tensorzero.url')!r},'w').write(g.base_url);time.sleep(3600)"
    )
    (cache / "tensorzero.url").unlink(missing_ok=True)
    return (
        [str(bin / "python"), "-c", code],
        cache / "tensorzero.url",
        "/openai" + CHAT,
        {},
        "tensorzero::model_name::m",
    )


def portkey(cache):
    home = cache / "portkey"
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(
            json.dumps(
                {
                    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
                    "overrides": {"@hono/node-server": "1.14.1", "hono": "4.9.7"},
                }
            )
        )
        subprocess.run(["npm", "install", "--silent"], cwd=home, check=True)
        (home / "done").touch()
    cmd = [
        "env",
        "TRUSTED_CUSTOM_HOSTS=127.0.0.1,localhost",
        "node",
        str(home / "node_modules/@portkey-ai/gateway/build/start-server.js"),
        "--port=9403",
        "--headless",
    ]
    return (
        cmd,
        9403,
        CHAT,
        {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{MOCK}/v1"},
        "gpt-4o-mini",
    )


def vllm_router(cache):
    bin = venv(cache, "vllm-router", "vllm-router")
    return (
        [
            str(bin / "vllm-router"),
            "--worker-urls",
            f"http://127.0.0.1:{MOCK}",
            "--host",
            "127.0.0.1",
            "--port",
            "9404",
            "--prometheus-port",
            "9405",
            "--policy",
            "round_robin",
            "--log-level",
            "error",
        ],
        9404,
        CHAT,
        {},
        "gpt-4o-mini",
    )


def nginx(cache):
    home = cache / "nginx"
    home.mkdir(exist_ok=True)
    (home / "c.conf").write_text(f"""worker_processes 1; daemon off; pid {home}/pid; error_log {home}/err;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; proxy_buffering off;
 client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
 upstream u {{ server 127.0.0.1:{MOCK}; keepalive 2048; keepalive_requests 100000000; }}
 server {{ listen 127.0.0.1:9406 backlog=8192; location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://u; }} }} }}
""")
    return [shutil.which("nginx") or "nginx", "-c", str(home / "c.conf")], 9406, CHAT, {}, "gpt-4o-mini"


PEERS = {"litellm": litellm, "portkey": portkey, "tensorzero": tensorzero, "vllm-router": vllm_router, "nginx": nginx}


def tree(pid):
    """The process and its descendants."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        try:
            todo += [int(c) for c in Path(f"/proc/{p}/task/{p}/children").read_text().split()]
        except OSError:
            pass
    return out


def ticks(pid):
    total = 0
    for p in tree(pid):
        try:
            f = Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(f[11]) + int(f[12])
        except OSError:
            pass
    return total


def rss_mb(pid):
    total = 0
    for p in tree(pid):
        try:
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{p}/status").read_text())[1])
        except (OSError, TypeError):
            pass
    return total / 1024


def us(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wrk(port, path, lua, connections, seconds):
    out = sh(
        [
            "taskset",
            "-c",
            "1",
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            str(lua),
            f"http://127.0.0.1:{port}{path}",
        ]
    )
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return (
        float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        us(re.search(r"(?m)^\s+50%\s+(\S+)", out)[1]),
        us(re.search(r"(?m)^\s+99%\s+(\S+)", out)[1]),
        int(bad[1]) if bad else 0,
    )


def measure(name, cmd, port, path, headers, model, args):
    log = open(args.cache / f"{name}.log", "wb")
    start = time.monotonic()
    env = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    proc = (
        subprocess.Popen(["taskset", "-c", "0", *cmd], stdout=log, stderr=log, env=env, start_new_session=True)
        if cmd
        else None
    )
    try:
        body = json.dumps(BODY | {"model": model})
        heads = {"content-type": "application/json", "authorization": f"Bearer {KEY}"} | headers
        for _ in range(600):
            if isinstance(port, Path):
                real = int(re.search(r":(\d+)", port.read_text())[1]) if port.exists() and port.read_text() else 0
            else:
                real = port
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "-d", body]
            for k, v in heads.items():
                curl += ["-H", f"{k}: {v}"]
            if (
                real
                and subprocess.run([*curl, f"http://127.0.0.1:{real}{path}"], capture_output=True, text=True).stdout
                == "200"
            ):
                break
            time.sleep(0.05)
        else:
            return f"| {name} | never answered, see {log.name} |"
        first = time.monotonic() - start
        lua = args.cache / f"{name}.lua"
        lua.write_text(
            'wrk.method = "POST"\n'
            + "".join(f'wrk.headers["{k}"] = "{v}"\n' for k, v in heads.items())
            + f"wrk.body = [==[{body}]==]\n"
        )
        rest = rss_mb(proc.pid) if proc else 0
        wrk(real, path, lua, 32, 3)
        rps, _, _, bad = wrk(real, path, lua, 32, args.seconds)
        _, p50, p99, _ = wrk(real, path, lua, 1, 3)
        stream = args.cache / f"{name}.stream.json"
        stream.write_text(json.dumps(BODY | {"model": model, "stream": True}))
        before = ticks(proc.pid) if proc else 0
        extra = [f"{k}: {v}" for k, v in heads.items() if k != "content-type"]
        out = sh(
            [
                "taskset",
                "-c",
                "1",
                str(args.cache / "sse_load"),
                str(real),
                path,
                str(args.streams),
                str(args.seconds),
                str(stream),
                *extra,
            ]
        )
        cpu = (ticks(proc.pid) - before) / (os.sysconf("SC_CLK_TCK") * args.seconds) * 100 if proc else 0
        errors = int(re.search(r"errors (\d+)", out)[1])
        rate = re.search(r"\((\d+)/s\)", out)[1]
        way = re.search(r"on its way, us: p50 (\d+)  p99 (\d+)", out)
        load = rss_mb(proc.pid) if proc else 0
        return (
            f"| {name} | {first:.2f} | {rps:,.0f}{f' ({bad} bad)' if bad else ''} | {p50:.0f} | {p99:.0f} | {rest:.0f} / {load:.0f} | {rate} | "
            f"{way[1] if way else '-'} | {way[2] if way else '-'} | {cpu:.0f} | {errors} |"
        )
    finally:
        if proc:
            os.killpg(proc.pid, signal.SIGTERM)
            try:
                proc.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(proc.pid, signal.SIGKILL)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("peers", nargs="*", default=list(PEERS))
    ap.add_argument(
        "--own",
        help="command that starts the gateway under test, sending model gpt-4o-mini to http://127.0.0.1:9100/v1",
    )
    ap.add_argument("--own-port", type=int, default=8000)
    ap.add_argument("--own-path", default=CHAT)
    ap.add_argument("--streams", type=int, default=1000)
    ap.add_argument("--seconds", type=int, default=8)
    ap.add_argument("--cache", type=Path, default=Path.home() / ".cache/farmgate-bench")
    args = ap.parse_args()
    needed = ["cc", "wrk", "curl", "taskset", *(["nginx"] if "nginx" in args.peers else [])]
    if missing := [tool for tool in needed if shutil.which(tool) is None]:
        ap.exit(2, f"compare.py needs {', '.join(missing)}: install them first, or name only peers that need less.\n")
    args.cache.mkdir(parents=True, exist_ok=True)
    for tool in ("mock_upstream", "sse_load"):
        sh(["cc", "-O2", "-o", str(args.cache / tool), str(HERE / f"{tool}.c")])
    mock = subprocess.Popen(
        [
            "taskset",
            "-c",
            "1",
            str(args.cache / "mock_upstream"),
            str(MOCK),
            "--ttft",
            "100",
            "--gap",
            "50",
            "--chunks",
            "40",
        ]
    )
    try:
        time.sleep(0.3)
        print(
            "| system | first answer s | req/s (32) | p50 us (1) | p99 us (1) | MB rest / load | chunks/s | chunk p50 us | chunk p99 us | CPU % | errors |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        print(measure("direct", None, MOCK, CHAT, {}, "gpt-4o-mini", args), flush=True)
        if args.own:
            print(
                measure("farmgate", args.own.split(), args.own_port, args.own_path, {}, "gpt-4o-mini", args), flush=True
            )
        for name in args.peers:
            print(measure(name, *PEERS[name](args.cache), args), flush=True)
    finally:
        mock.terminate()


if __name__ == "__main__":
    main()
