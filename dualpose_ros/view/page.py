"""rerun's web viewer on this machine alone: the page is served on loopback, and may ask for nothing elsewhere.

The page in rerun's wheel loads a font from Google, and its own server listens on every interface. So its files are
taken from that server, started for a moment on loopback, and served from here under a policy that browsers enforce.
"""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from dualpose_ros.errors import InputError

HOST = "127.0.0.1"
INSTALL = "the live view needs rerun, which the base install leaves out: pip install 'dualpose_ros[view]'"

_FILES = {
    "/": "text/html; charset=utf-8",
    "/re_viewer.js": "text/javascript",
    "/re_viewer_bg.wasm": "application/wasm",
    "/favicon.ico": "image/x-icon",
}
_FOREIGN_LINK = re.compile(rb"<link\b[^>]*https://[^>]*>")
_START_LIMIT_S = 20.0


def check_ports(web_port: int) -> None:
    """InputError that names the port on which something listens already: the page's, or the next one, its data's."""
    for port in (web_port, web_port + 1):
        with socket.socket() as probe:
            # As servers do: a port whose last connections are only fading is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                reason = f"port {port} can't be used for the live view: {error.strerror or error}"
                raise InputError(f"{reason}; end what has it, or choose another pair of ports") from None


def check_rerun() -> None:
    """InputError that names the extra to install, where rerun is missing."""
    if importlib.util.find_spec("rerun") is None:
        raise InputError(INSTALL)


def page_url(web_port: int) -> str:
    """The address to open: the page, told where the data comes from."""
    data = quote(f"rerun+http://{HOST}:{web_port + 1}/proxy", safe="")
    return f"http://{HOST}:{web_port}/?hide_welcome_screen&url={data}"


class Page:
    """The page while it is served; `close` ends that."""

    def __init__(self, web_port: int) -> None:
        """Serve it. InputError where the viewer's files can't be had or the port is taken."""
        files = viewer_files()
        policy = (
            "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'; "
            f"connect-src 'self' data: blob: http://{HOST}:{web_port + 1}"
        )

        class Handler(BaseHTTPRequestHandler):
            """Files of the viewer, and nothing else."""

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                data = files.get(path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                for name, value in {
                    "Content-Type": _FILES[path],
                    "Content-Length": str(len(data)),
                    "Content-Security-Policy": policy,
                    "rerun-final-length": str(len(data)),
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent."""

        try:
            self._server = ThreadingHTTPServer((HOST, web_port), Handler)
        except OSError as error:
            raise InputError(f"port {web_port} can't be used: {error.strerror or error}") from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()


@cache
def viewer_files() -> dict[str, bytes]:
    """The web viewer's files by path, without the page's links to elsewhere; InputError where rerun has none."""
    web_port, grpc_port = _free_ports(2)
    command = [sys.executable, "-m", "rerun", "--serve-web", "--bind", HOST, "--port", str(grpc_port),
               "--web-viewer-port", str(web_port)]  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        # In a home of its own it finds no settings, and where CI is set it sends no usage figures.
        env = {**os.environ, "CI": "1", "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
        # A group of its own: what starts here is a script that starts the server.
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(command, env=env, stdout=quiet, stderr=quiet, start_new_session=True)
        try:
            found = {path: _fetched(f"http://{HOST}:{web_port}{path}", server) for path in _FILES}
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    found["/"] = _FOREIGN_LINK.sub(b"", found["/"])
    return found


def _fetched(url: str, server: subprocess.Popen[bytes]) -> bytes:
    """What is at a local address, as soon as its server is there."""
    # A proxy that the environment names is not for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            with opener.open(url, timeout=_START_LIMIT_S) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise InputError(f"rerun's web viewer can't be had from its package: {error}") from None
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()
