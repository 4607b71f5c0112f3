#!/usr/bin/env python3
"""Copies a large database from SQLite to PostgreSQL and back, and compares all three by an independent script.

    cargo build --release
    bench/copy.py target/release/wxqr --database postgres://USER@HOST/EMPTY [--codes 100000] [--events 1000000]

Starts the service once for its tables, and fills them with SQL. Interrupts one copy while it writes events, and checks that
it left nothing. Prints one line of figures, and exits with 1 if the interrupted copy left a table or a digest of
tests/store/digest.py differs. Needs psql.
"""

import argparse
import contextlib
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from rig import Server, report

DIGEST = pathlib.Path(__file__).resolve().parent.parent / "tests/store/digest.py"
APP_ID = "wx0123456789abcdef"

FILL = [
    "INSERT INTO code (appid, kind, scene, ticket, url, minted_at, created_at, created_by, label, url_key, label_sort)"
    " SELECT '{app_id}', 'QR_LIMIT_STR_SCENE', 'poster-' || i, 'gQ{pad}' || i, 'http://weixin.qq.com/q/' || i, i, i, 'bench',"
    " '海报 ' || i, i, randomblob(12) FROM n WHERE i <= {codes}",
    "INSERT INTO ticket (appid, ticket, kind, scene) SELECT appid, ticket, kind, scene FROM code",
    "INSERT INTO event (appid, id, seq, at, day, event, person, kind, scene)"
    " SELECT '{app_id}', hex(randomblob(16)), i, 1700000000000 + i, '2026-11-' || (10 + i % 20), 'scan', hex(randomblob(16)),"
    " CASE WHEN i % 7 > 0 THEN 'QR_LIMIT_STR_SCENE' END, CASE WHEN i % 7 > 0 THEN 'poster-' || (i % {codes} + 1) END"
    " FROM n WHERE i <= {events}",
]


def fill(binary, path, codes, events):
    environment = {
        "WXQR_LISTEN": "127.0.0.1:{port}", "WXQR_APP_ID": APP_ID, "WXQR_APP_SECRET": APP_ID, "WXQR_LOG": "error",
        "WXQR_API_BASE": "http://127.0.0.1:9", "WXQR_DATABASE_URL": f"sqlite://{path}",
    }
    server = Server("wxqr", [binary, "serve"], environment)
    server.wait_until_ready("/readyz")
    server.stop()
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {max(codes, events)}) "
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in FILL:
            statement = statement.format(app_id=APP_ID, pad="x" * 80, codes=codes, events=events)
            into, select = statement.split(" SELECT ", 1)
            connection.execute(f"{into} {numbers if ' FROM n' in select else ''}SELECT {select}")


def copy(binary, source, target):
    started = time.monotonic()
    ended = subprocess.run([binary, "copy", "--from", source, "--to", target], check=True, stdout=subprocess.PIPE, text=True)
    return ended.stdout, time.monotonic() - started


def interrupt(binary, source, target):
    """Ends a copy once it has begun with the events."""
    running = subprocess.Popen([binary, "copy", "--from", source, "--to", target], stderr=subprocess.PIPE, text=True)
    line = ""
    for line in running.stderr:
        if line.startswith("wxqr: code: "):
            break
    time.sleep(1)
    running.send_signal(signal.SIGKILL)
    if running.wait() != -signal.SIGKILL:
        sys.exit(f"the copy ended before it was interrupted: {line}")


def digest(url):
    return subprocess.run([sys.executable, DIGEST, url], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--database", required=True, help="the URL of an empty database of PostgreSQL")
    parser.add_argument("--codes", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    binary, postgres = arguments.binary.resolve(), arguments.database
    with tempfile.TemporaryDirectory() as folder:
        first, second = f"sqlite://{folder}/first.db", f"sqlite://{folder}/second.db"
        fill(binary, f"{folder}/first.db", arguments.codes, arguments.events)
        want = digest(first)
        interrupt(binary, first, postgres)
        left = digest(postgres)
        there, there_s = copy(binary, first, postgres)
        back, back_s = copy(binary, postgres, second)
        differing = sum(found != want for found in [there, back, digest(postgres), digest(second)])
    line = (
        f"{arguments.codes:,} codes and {arguments.events:,} events copied from SQLite to PostgreSQL and back, after a copy that was killed: "
        f"{len(left.splitlines())} tables left by the killed copy, {differing} of 4 digests differ, {there_s:.0f} s there, {back_s:.0f} s back"
    )
    kept = differing == 0 and not left
    report(line, kept)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
