"""What the checks share."""

import pathlib
import socket
import sys

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
TOP = DEPLOY.parent


def expect(truth, message):
    if not truth:
        raise SystemExit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
