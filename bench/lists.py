#!/usr/bin/env python3
"""Time to the first and the last page of each list of channels, and of the upgrade of an older database.

    cargo build --release
    bench/lists.py target/release/wxqr [--channels 100000] [--database postgres://USER@HOST/EMPTY]

Starts the service once for its tables, writes channels as an older version did, and starts it again: that start computes
what lists order and search by. Prints one line with the slowest pages; standard error has the median of some requests for each
page. Exits with 1 if one takes longer than was promised: 50 ms, with a search 100 ms. The default is SQLite. Another database
must be empty, and needs psql; it is vacuumed before the requests, as its own autovacuum does within a minute of such an upgrade.
"""

import argparse
import json
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from rig import Server, report

APP_ID = "wx0123456789abcdef"
KEY = "0123456789abcdef0123456789abcdef"
TIMES = 9
PAGE, LARGEST_PAGE = 100, 1000
UPGRADED_WITHIN_S = 600
PROMISED_MS = 50
PROMISED_SEARCH_MS = 100

NUMBERS = {
    "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {channels})",
    "postgres": "WITH n (i) AS (SELECT generate_series(1, {channels}))",
}

# Nine of ten have a name; 300 groups.
FILL = [
    "{numbers} INSERT INTO code (appid, kind, scene, ticket, url, minted_at, created_at, url_key)"
    " SELECT '{app_id}', 'QR_LIMIT_STR_SCENE', 'Poster-' || i, 'gQ{pad}' || i, 'http://weixin.qq.com/q/' || i, i, i, i FROM n",
    "{numbers} INSERT INTO channel (appid, kind, scene, label, group_name)"
    " SELECT '{app_id}', 'QR_LIMIT_STR_SCENE', 'Poster-' || i, '海报 Poster ' || i, '华东 ' || (i % 300) FROM n"
    " WHERE i % 10 > 0",
    "DELETE FROM about WHERE name = 'search_keys'",
]

LISTS = {
    "all": {},
    "by label": {"sort": "label"},
    "by label, reversed": {"sort": "-label"},
    "newest first": {"sort": "-created"},
    "a group": {"group": "华东 7"},
    "a group, newest first": {"group": "华东 7", "sort": "-created"},
    "archived": {"archived": "true"},
    "temporary": {"permanent": "false"},
    "search, all match": {"q": "POSTER"},
    "search, one matches": {"q": "poster 77777"},
    "search, none matches": {"q": "nothing"},
    "search by label, one matches": {"q": "海报 poster 77777", "sort": "label"},
    "search, newest first": {"q": "东 7", "sort": "-created"},
}


def serve(binary, database):
    environment = {
        "WXQR_LISTEN": "127.0.0.1:{port}", "WXQR_METRICS_LISTEN": "127.0.0.1:{metrics}", "WXQR_APP_ID": APP_ID,
        "WXQR_APP_SECRET": KEY, "WXQR_API_BASE": "http://127.0.0.1:9", "WXQR_MP_BASE": "http://127.0.0.1:9",
        "WXQR_DATABASE_URL": database, "WXQR_API_KEYS": f"bench:{KEY}:admin", "WXQR_LOG": "error",
    }
    started = time.monotonic()
    # It listens once its tables are upgraded.
    server = Server("wxqr", [binary, "serve"], environment, starts_within_s=UPGRADED_WITHIN_S)
    server.wait_until_ready("/readyz", UPGRADED_WITHIN_S)
    return server, time.monotonic() - started


def fill(database, channels):
    is_sqlite = database.startswith("sqlite:")
    numbers = NUMBERS["sqlite" if is_sqlite else "postgres"].format(channels=channels)
    statements = [it.format(numbers=numbers, app_id=APP_ID, pad="x" * 80) for it in FILL]
    if is_sqlite:
        with sqlite3.connect(database.removeprefix("sqlite://")) as connection:
            for statement in statements:
                connection.execute(statement)
    else:
        psql(database, *statements)


def psql(database, *statements):
    subprocess.run(["psql", "-Xq", database, *(word for it in statements for word in ["-c", it])], check=True)


def get(server, path, parameters):
    url = f"http://127.0.0.1:{server.port}{path}?{urllib.parse.urlencode(parameters)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    return (time.monotonic() - started) * 1000, json.loads(body)


def pages(server):
    """Name, path and parameters of the first and the last page of each list."""
    for name, parameters in LISTS.items():
        yield name, "/api/codes", parameters
        cursor = last_cursor(server, parameters)
        if cursor:
            yield f"{name}, last page", "/api/codes", {**parameters, **cursor}
    yield "groups", "/api/groups", {}


def last_cursor(server, parameters):
    """The parameter of the last page, none if there is only one page."""
    cursor = {}
    for limit in [LARGEST_PAGE, PAGE]:
        while True:
            _, page = get(server, "/api/codes", {**parameters, **cursor, "limit": limit})
            if "next_cursor" not in page:
                break
            cursor = {"cursor": page["next_cursor"]}
    return cursor


def measure(server):
    """Prints a line for each page. Returns the slowest time without and with a search, in ms."""
    slowest = {PROMISED_MS: 0.0, PROMISED_SEARCH_MS: 0.0}
    for name, path, parameters in pages(server):
        got = [get(server, path, parameters) for _ in range(TIMES)]
        took, page = statistics.median(ms for ms, _ in got), got[0][1]
        promised = PROMISED_SEARCH_MS if "q" in parameters else PROMISED_MS
        print(f"{name:40} {took:7.1f} ms  of {promised} ms  {page.get('total', len(page['items'])):7} in all", file=sys.stderr)
        slowest[promised] = max(slowest[promised], took)
    return slowest[PROMISED_MS], slowest[PROMISED_SEARCH_MS]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--channels", type=int, default=100_000)
    parser.add_argument("--database")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        database = arguments.database or f"sqlite://{folder}/wxqr.db"
        server, _ = serve(binary, database)
        server.stop()
        fill(database, arguments.channels)
        server, took = serve(binary, database)
        engine = "SQLite" if database.startswith("sqlite:") else "PostgreSQL"
        if not database.startswith("sqlite:"):
            psql(database, "VACUUM ANALYZE")
        plain_ms, search_ms = measure(server)
        server.stop()
    kept = plain_ms <= PROMISED_MS and search_ms <= PROMISED_SEARCH_MS
    report(
        f"{arguments.channels:,} channels, first and last page of each list, stored in {engine}: the slowest page in {plain_ms:.1f} ms, "
        f"of a search in {search_ms:.1f} ms; the tables of an older version were upgraded in {took:.1f} s",
        kept,
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
