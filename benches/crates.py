#!/usr/bin/env python3
"""What each crate costs in the webhook's function: in size, and in the instructions of a start.

Builds the release binary with its symbols into target/crates (some minutes the first time), and prints a Markdown document. Where there is no
Valgrind the instructions are left out.

    benches/crates.py > docs/benchmarks/crates.md
"""

import collections
import http.server
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target/crates/release/webhook"
SHOWN = 24
HEAD = """# What each crate costs

Made by `benches/crates.py > docs/benchmarks/crates.md`. The size is that of the symbols in the webhook's release binary, before they are stripped. The instructions are
those of the process until it waits for its first event, counted by Valgrind's callgrind against a Runtime API of a few lines, the kernel's left out, and the trusted roots in one file. Code
that was inlined counts for whom it was inlined into, generic code for the crate that it was written in.
"""
# Ours, and what comes with Rust, each as one.
TOGETHER = {
    "mayfly_core": "Mayfly", "mayfly_service": "Mayfly", "webhook": "Mayfly",
    "core": "std", "alloc": "std", "hashbrown": "std", "gimli": "std", "addr2line": "std", "rustc_demangle": "std", "miniz_oxide": "std",
    "object": "std", "memchr": "std",
}
WAIT_MOST = 180
# As on Lambda: one file, and no folder of them.
ROOTS = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]


def build():
    settings = {"CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_TARGET_DIR": str(ROOT / "target/crates")}
    command = ["cargo", "build", "--release", "--locked", "--package", "webhook"]
    subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=True)


def crate_of(symbol):
    """Of `<a::B as c::D>::e` it is `a`, of `a::b::<c::D>` too; of what has no path nothing is known."""
    if "::" not in symbol:
        return "C and the system's"
    path = re.match(r"[<&*\[(\s]*(?:dyn |mut |const |impl )*([A-Za-z_]\w*)(?:\[[0-9a-f]+\])?::", symbol)
    name = path.group(1) if path else "std"
    return TOGETHER.get(name, name)


def sizes():
    listed = subprocess.run(
        ["nm", "--print-size", "--defined-only", "--demangle", str(BINARY)], check=True, capture_output=True, text=True
    ).stdout
    by_crate = collections.Counter()
    seen = set()
    for line in listed.splitlines():
        match = re.match(r"([0-9a-f]+) ([0-9a-f]+) (\w) (.*)", line)
        # One place may have several names.
        if match and match[1] not in seen:
            seen.add(match[1])
            by_crate[crate_of(match[4])] += int(match[2], 16)
    return by_crate


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """Registers the extension, and has no event for anybody."""

    waiting = threading.Semaphore(0)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Lambda-Extension-Identifier", "00000000-0000-0000-0000-000000000001")
        body = b'{"functionName":"bench","functionVersion":"1","handler":"bootstrap"}'
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        RuntimeApi.waiting.release()
        time.sleep(WAIT_MOST)

    def log_message(self, *_):
        pass


CONFIGURATION = """
deployment = "bench"
store = { table = "mayfly-bench" }
[github]
webhook_secrets = [{ env = "SECRET" }]
app = { client_id = "Iv23liBench", private_key = { file = "app.pem" } }
[providers.cloud]
kind = "gcp"
project = "bench"
[[pools]]
name = "linux-gpu"
labels = ["self-hosted", "Linux", "GPU"]
organization = "shader-slang"
max_runners = 10
[[pools.placements]]
provider = "cloud"
instance_template = "linux-gpu-runner"
zones = ["us-east1-c"]
gpu_type = "nvidia-tesla-t4"
"""


def instructions():
    if not shutil.which("valgrind"):
        return None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "mayfly.toml").write_text(CONFIGURATION)
        subprocess.run(
            ["openssl", "genrsa", "-traditional", "-out", str(folder / "app.pem"), "2048"], check=True, capture_output=True
        )
        out = folder / "callgrind.out"
        environment = os.environ | {
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.server_port,
            "AWS_LAMBDA_FUNCTION_NAME": "bench", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench", "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
            "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:%d" % server.server_port,
            "MAYFLY_CONFIG": str(folder / "mayfly.toml"), "SECRET": "a secret of the bench that is long enough",
        }
        roots = [file for file in ROOTS if pathlib.Path(file).is_file()]
        environment.pop("SSL_CERT_DIR", None)
        environment.update({"SSL_CERT_FILE": file for file in roots[:1]})
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no", str(BINARY)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # The runtime, and the extension.
            for _ in range(2):
                if not RuntimeApi.waiting.acquire(timeout=WAIT_MOST):
                    raise SystemExit("the function did not come to wait for an event")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=WAIT_MOST)
        return by_function(out)


def by_function(file):
    """Each function's own instructions; what it called is told, and counted, there."""
    by_crate = collections.Counter()
    crate = None
    is_call = False
    for line in file.read_text().splitlines():
        if line.startswith("fn="):
            crate = crate_of(re.sub(r"'\d+$", "", line[3:]))
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"(0x[0-9a-f]+|[+\-*]?\d*) \d+", line) and crate:
            if not is_call:
                by_crate[crate] += int(line.split()[-1])
            is_call = False
    return by_crate


def main():
    build()
    size, start = sizes(), instructions()
    whole = sum(size.values())
    print(HEAD)
    print(f"| crate | KiB of {whole / 1024:,.0f} | share |" + (f" thousand instructions of {sum(start.values()) / 1e3:,.0f} |" if start else ""))
    print("| --- | ---: | ---: |" + (" ---: |" if start else ""))

    def row(name, bytes_, counted):
        print(f"| {name} | {bytes_ / 1024:,.0f} | {100 * bytes_ / whole:.1f} % |" + (f" {counted / 1e3:,.0f} |" if start else ""))

    shown = [name for name, _ in size.most_common(SHOWN)]
    shown += [name for name, _ in (start or {}).most_common(8)] if start else []
    shown = sorted(set(shown), key=lambda name: -size[name])
    for name in shown:
        row(name, size[name], (start or {}).get(name, 0))
    rest = set(size) | set(start or {})
    rest -= set(shown)
    row(f"{len(rest)} more", sum(size[name] for name in rest), sum((start or {}).get(name, 0) for name in rest))


if __name__ == "__main__":
    main()
