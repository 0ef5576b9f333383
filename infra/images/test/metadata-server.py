#!/usr/bin/env python3
"""A metadata server on loopback, as strict as Google's, for test.sh.

metadata-server.py FOLDER: each folder in it is a VM, reached at http://127.0.0.1:PORT/NAME. Its attributes are the files in
NAME/attributes, its behaviour is the word in NAME/behaviour, every request becomes a line of NAME/requests. FOLDER/downloads is
served too. The port is written to FOLDER/port once it listens. What is in FOLDER/secrets must never be an argument of a process:
where it is, the request's line says LEAK.
"""

import http.server
import pathlib
import sys

ROOT = pathlib.Path(sys.argv[1])


def in_process_list():
    secrets = [line.encode() for line in (ROOT / "secrets").read_text().split()]
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = process.read_bytes()
        except OSError:
            continue
        if any(secret in arguments for secret in secrets):
            return True
    return False


class Handler(http.server.BaseHTTPRequestHandler):
    server_version = "Metadata Server for VM"
    sys_version = ""

    def do_GET(self):
        if self.path.startswith("/downloads/"):
            return self.download()
        _, vm, *rest = self.path.split("/")
        folder = ROOT / vm
        attribute = rest[-1] if rest[:-1] == ["computeMetadata", "v1", "instance", "attributes"] else None
        with (folder / "requests").open("a") as requests:
            requests.write(f"{attribute or self.path}{' LEAK' if in_process_list() else ''}\n")
        behaviour = (folder / "behaviour").read_text().strip()
        if behaviour == "busy":
            return self.answer(503, b"try again")
        if behaviour == "elsewhere":
            return self.answer(302, b"", {"Location": f"/{vm}/elsewhere"})
        if behaviour == "portal":
            return self.answer(200, b"QWNjZXB0IHRoZSB0ZXJtcw==", flavor=False)
        if behaviour == "garbage":
            return self.answer(200, b"<html>\xff\x00 no configuration</html>")
        if attribute is None or self.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403, b"no")
        try:
            value = (folder / "attributes" / attribute).read_bytes()
        except OSError:
            return self.answer(404, b"<!DOCTYPE html><html>not found</html>")
        return self.answer(200, value)

    def download(self):
        with (ROOT / "downloaded").open("a") as downloaded:
            downloaded.write(self.path + "\n")
        try:
            self.answer(200, (ROOT / self.path.lstrip("/")).read_bytes(), flavor=False)
        except OSError:
            self.answer(404, b"", flavor=False)

    def answer(self, status, body, headers=None, flavor=True):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if flavor:
            self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Somebody was ended before it had its answer."""


server = Server(("127.0.0.1", 0), Handler)
(ROOT / "port.new").write_text(str(server.server_port))
(ROOT / "port.new").rename(ROOT / "port")
server.serve_forever()
