#!/usr/bin/env python3
"""Number and digest of each table's rows, as `wxqr copy` prints them, computed without it:

    tests/store/digest.py sqlite:///var/lib/wxqr/wxqr.db
    tests/store/digest.py postgres://USER:PASSWORD@HOST/DATABASE

A line for each table: name, rows, digest. The digest is the sum, modulo 2^256, of the SHA-256 hashes of the rows as big-endian
numbers, so that the order of rows does not matter. A row is its values in the order of the columns' names: `n` for NULL,
`i<number>;` for an integer, `t<length>:<bytes>` for a text in UTF-8, `b<length>:<bytes>` for bytes. PostgreSQL needs psql.
"""

import hashlib
import json
import sqlite3
import subprocess
import sys

# Rows that psql holds at once.
FETCH_COUNT = 10_000


def value(held):
    if held is None:
        return b"n"
    if isinstance(held, int):
        return b"i%d;" % held
    kind, held = (b"b", held) if isinstance(held, bytes) else (b"t", held.encode())
    return b"%s%d:%s" % (kind, len(held), held)


def digest(rows):
    number, total = 0, 0
    for row in rows:
        number += 1
        total += int.from_bytes(hashlib.sha256(b"".join(map(value, row))).digest(), "big")
    return number, f"{total % 2**256:064x}"


def of_sqlite(path):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    named = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> '_sqlx_migrations' ORDER BY name"
    for (table,) in connection.execute(named).fetchall():
        columns = sorted(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        yield table, connection.execute(f"SELECT {', '.join(columns)} FROM {table}")


def psql(url, sql):
    # With -c it would hold all rows.
    command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", f"FETCH_COUNT={FETCH_COUNT}", "-f", "-", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as running:
        running.stdin.write(sql)
        running.stdin.close()
        yield from (line.rstrip("\n") for line in running.stdout)
    if running.returncode != 0:
        raise SystemExit("psql failed")


def of_postgres(url):
    described = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations';"
    )
    tables = {}
    for line in psql(url, described):
        table, column, kind = line.split("|")
        tables.setdefault(table, []).append((column, kind))
    for table, columns in sorted(tables.items()):
        yield table, rows_of_postgres(url, table, sorted(columns))


def rows_of_postgres(url, table, columns):
    for line in psql(url, f"SELECT to_json(one) FROM {table} AS one;"):
        row = json.loads(line)
        yield [
            bytes.fromhex(row[name].removeprefix("\\x")) if kind == "bytea" and row[name] is not None else row[name]
            for name, kind in columns
        ]


def main():
    [url] = sys.argv[1:]
    tables = of_sqlite(url.removeprefix("sqlite://")) if url.startswith("sqlite:") else of_postgres(url)
    for table, rows in tables:
        print(table, *digest(rows))


if __name__ == "__main__":
    main()
