"""The server of the page, which listens where it is told and nowhere else."""
import contextlib
import errno
import ipaddress
import os
import socket
import urllib.parse

import flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tfxmr.core.errors import InputError

ANY = ("0.0.0.0", "::", "")  # hosts that mean: whichever way one reaches this machine


def serve(app: flask.Flask, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serves a page until Ctrl-C, and prints its address.

    Args:
      app: as make_app gives it.
      host: where it listens; 127.0.0.1 answers this machine alone.
      port: of it; 0 takes any that is free.

    Raises:
      InputError: it cannot listen there.
    """
    app.config["HOST"] = host
    with _listening(host, port) as listening:
        server = make_server(host, port, app, threaded=True, request_handler=Quiet, fd=listening.fileno())
        shown = "127.0.0.1" if host in ANY else f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{listening.getsockname()[1]}/   (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
        finally:
            server.server_close()


def trusted(header: str, host: str) -> bool:
    """Whether a request's Host header names this machine as those do who mean it.

    A number is no name, which somebody's name server could give this machine: it is trusted where the page listens for
    other machines.

    Args:
      header: such as "127.0.0.1:8080".
      host: where the page listens.

    Returns:
      bool.
    """
    # By hand: Flask's TRUSTED_HOSTS is a list of names, which the numbers of this machine and its loopback are not in.
    try:
        name = urllib.parse.urlsplit(f"//{header}").hostname or ""
        number = _number(name)
    except ValueError:
        return False
    if number is not None:
        return number.is_loopback or (host in ANY or not _is_loopback(host))
    names = {"localhost", host.lower()}
    if not _is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return name in names - {""}


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name)
    return None


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return host == "localhost" or number is not None and number.is_loopback


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, by Python itself: Werkzeug would end the process."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OverflowError as error:
        raise InputError(f"--port={port}: must be from 0 to 65535") from error
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):  # no such address, or no such name
            raise InputError(f"--host={host}: this machine has no such address; omit it for 127.0.0.1") from error
        raise InputError(f"--port={port}: {host} cannot listen there ({os.strerror(error.errno)}); take another, "
                         f"such as --port={_free()}") from error


def _free() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Quiet(WSGIRequestHandler):
    """Logs errors alone; what somebody looked for is nobody's business."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Logs nothing."""
