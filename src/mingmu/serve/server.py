"""Runs the service: in this process, or in several that a supervisor keeps."""

from __future__ import annotations

import socket
import ssl
import sys

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadSettings
from mingmu.core.logs import log_as_json
from mingmu.settings import Settings

MOST_WORKERS = 4  # unless more are asked for


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were let in get their answers.

    Raises BadSettings, BadArtifact, Unproven; MingmuError with the same words where it was a worker that could not start.
    """
    if settings.workers > 1 and sys.platform == "win32":
        raise BadSettings(f"workers is {settings.workers}; on Windows there can be only one (settings: workers)")
    workers = settings.workers or usual_workers(settings.threads or cpu_count())
    settings = settings.model_copy(update={"workers": workers})
    log_as_json(settings.log_level)
    tls_context(settings)  # what is wrong with it is said before anything is loaded
    with listen(settings.host, settings.port) as listener:
        if workers > 1:
            from mingmu.serve.fleet import lead

            lead(settings, listener)
        else:
            from mingmu.serve.process import serve

            serve(settings, listener)


def usual_workers(processors: int) -> int:
    """How many processes serve where nobody says it: one for each processor, up to a few, for each holds its networks in memory."""
    return 1 if sys.platform == "win32" else min(processors, MOST_WORKERS)


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, bound but not yet listening; raises BadSettings."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise BadSettings(f"cannot listen on {host} port {port}: {error.strerror} (settings: host, port)") from error
    return listener


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """How the service proves who it is, read from its files; None without TLS. Raises BadSettings."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise BadSettings("TLS needs a certificate and its key, only one is set (settings: tls_certificate, tls_key)")
    for file in (certificate, key):
        try:
            file.read_bytes()  # OpenSSL does not say which file it is
        except OSError as error:
            raise BadSettings(f"{file} cannot be read: {error.strerror} (settings: tls_certificate, tls_key)") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        load_certificate(context, settings)
    except ssl.SSLError as error:
        reason = error.reason.replace("_", " ").lower() if error.reason else "they are no PEM files"
        raise BadSettings(
            f"{certificate} and {key} are no certificate and its unencrypted key: {reason} (settings: tls_certificate, tls_key)"
        ) from error
    return context


def load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Let new connections see the certificate that the files hold now."""
    context.load_cert_chain(settings.tls_certificate or "", settings.tls_key, password="")  # or OpenSSL would ask the terminal


def announce(settings: Settings, listener: socket.socket, more: str = "") -> None:
    """Say on stderr where the service is to be found."""
    address, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    shown = f"[{address}]" if ":" in address else address
    print(f"Mingmu is ready on {scheme}://{shown}:{port}{more}", file=sys.stderr, flush=True)
