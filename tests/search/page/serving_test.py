"""Where the page listens."""
import functools
import pathlib
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import flask
import pytest

from tfxmr.core.errors import InputError
from tfxmr.search.page.app import serve
from tfxmr.search.page.serving import trusted

PROGRAM = "import flask; from tfxmr.search.page.app import serve; serve(flask.Flask('x', static_folder='.'), port=0)"


def test_a_port_that_is_taken():
    """One line with a port that is free; guards against Werkzeug's own end of the process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port={port}: 127.0.0.1 cannot listen there .Address already in use.; take another, such as --port=\d+") as error:
            serve(flask.Flask("x"), port=port)
    with socket.create_server(("127.0.0.1", int(re.search(r"\d+$", str(error.value))[0]))):
        pass


def test_other_places():
    with pytest.raises(InputError, match="--host=no.such.invalid: this machine has no such address"):
        serve(flask.Flask("x"), host="no.such.invalid")
    with pytest.raises(InputError, match="--port=70000: must be from 0 to 65535"):
        serve(flask.Flask("x"), port=70000)


def test_it_listens_on_this_machine_alone_and_ends_quietly():
    """Guards against a listener for all the world, a debugger, and a traceback at Ctrl-C."""
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": heed}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], **piped) as process:
        try:
            address = process.stdout.readline().split()[0]
            port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", address)[1])
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + "console")
            listening = [line.split()[1] for table in ("tcp", "tcp6") for line in
                         pathlib.Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]
                         if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port]
            assert listening == [f"0100007F:{port:04X}"]
        finally:
            process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # or a page that heeds nothing would be waited for
        assert process.returncode == 0 and "Traceback" not in err and out.strip() == ""


def test_names_of_this_machine():
    """Numbers are trusted where others may ask: nobody's name server gives those."""
    for header, host, right in (
        ("127.0.0.1:80", "127.0.0.1", True), ("10.0.0.7", "127.0.0.1", False), ("10.0.0.7:8080", "0.0.0.0", True),
        (f"{socket.gethostname()}:8080", "0.0.0.0", True), ("evil.example", "0.0.0.0", False), ("[::1]", "::1", True),
        ("box.example", "box.example", True), ("localhost", "0.0.0.0", True), ("", "0.0.0.0", False),
    ):
        assert trusted(header, host) is right, (header, host)


def test_no_tensorflow():
    """The page loads none of its own accord."""
    code = "import sys, tfxmr.search.page.app, tfxmr.search.page.sheet; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
