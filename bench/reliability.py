#!/usr/bin/env python3
"""Runs the fault and attack tests in full size, and writes docs/reliability.md from the results.

    bench/reliability.py

Builds the release, runs the tests below one by one with FULL_SIZE=1, then the programs below, and writes the document. Takes an
hour after the build, on an otherwise idle machine. TEST_DATABASE_URL names a PostgreSQL server and a role that may create
databases; without it replicas share an SQLite file, and what needs PostgreSQL is skipped. Needs Linux, git, Chromium, zbar,
Python 3.9 and, for PostgreSQL, psql. Exits with 1 if a test failed or a promise was broken.
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import urllib.parse
from typing import NamedTuple

from lists import psql

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"

# Tests of `tests/it` to run: single ones, or all of a module.
TESTS = [
    "hostile::",
    "browser::markup::a_browser_finds_nothing_of_what_strangers_write_but_text",
    "codes::minting::single_flight_of_a_thousand_requests_costs_one_ticket_and_one_token",
    "failure::wechat::with_three_calls_in_ten_failing_nearly_everybody_is_served",
    "failure::wechat::an_endless_body_costs_no_memory",
    "failure::hang::",
    "failure::restarts::",
    "failure::token_theft::",
    "statistics::recount::",
    "statistics::speed::",
    "callback::pace::",
    "failure::crash_under_events::",
    "bindings::an_id_cannot_be_guessed",
    "failure::database_down::known_codes_are_served_while_postgresql_is_away",
    "store::backup::a_copy_under_load_holds_what_was_acknowledged_before_it",
    "failure::crash::a_hundred_kills_at_random_moments_lose_nothing_that_was_acknowledged",
]

# Unit tests that assert a count: what was tried, what must not happen, and the test.
BESIDE_THE_CODE = [
    (
        "10,000 changes of signed links: bytes, order, repeats, spelling, what is left out",
        "accepted with another meaning, or refused with the same",
        "access::link::tests::no_mutation_of_a_link_changes_what_was_signed",
    ),
    ("100,000 forged pushes of every sort", "let in", "wechat::push::tests::forged::none_of_100_000_forged_pushes_is_accepted"),
    (
        "100,000 forged questions whether the callback is the account's",
        "answered with their echostr",
        "wechat::push::tests::forged::none_of_100_000_forged_url_verifications_is_echoed",
    ),
]


class Program(NamedTuple):
    """A program of bench/, which prints a line for each fault: the fault, a colon, and the figures."""

    path: str
    what: str
    promised: str
    arguments: tuple = ()
    # Where it runs; on PostgreSQL with --database.
    databases: tuple = ("SQLite",)


PROGRAMS = [
    Program(
        "bench/slow_clients.py",
        "other requests, slow clients, open files, memory",
        "p99 under 50 ms, all closed within 15 s, no file more",
    ),
    Program(
        "bench/held_bodies.py",
        "memory, other requests, clients, open files",
        "at most 256 MiB, 64 MiB after, p50 under 50 ms, all closed within 15 s, no file more",
    ),
    Program(
        "bench/webhooks.py",
        "events that a receiver of webhooks got",
        "all, in their order, none before it was stored, the last within 60 s",
        databases=("SQLite", "PostgreSQL"),
    ),
    Program("bench/hostile_files.py", "answers, memory, codes", "refused or read, at most 64 MiB more, no code"),
    Program(
        "bench/archive.py",
        "pictures, memory",
        "each is the code of its row, under a name that Windows takes; under 32 MiB more",
        arguments=("--more", "0"),
    ),
    Program(
        "bench/lists.py",
        "until the page was there",
        "at most 50 ms, of a search 100 ms",
        databases=("SQLite", "PostgreSQL"),
    ),
    Program("bench/copy.py", "tables of the killed copy, digests of the copies", "none, equal", databases=("PostgreSQL",)),
]


def main():
    os.chdir(ROOT)
    server = os.environ.get("TEST_DATABASE_URL")
    if server:
        # A server that cannot be used is found now, and not at the end.
        with empty_database(server):
            pass
    state = state_of_the_tree()
    run(["cargo", "build", "--release", "--locked"])
    run(["cargo", "test", "--release", "--locked", "--no-run", "--lib", "--test", "it"])
    # What the build has written goes to the disk now, and not beside the first tests.
    os.sync()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = pathlib.Path(folder) / "figures"
        figures.touch()
        failed = [name for name in TESTS if not run_tests(name, figures)]
        rows = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]
    rows.extend(failure(f"it::{name}".rstrip(":")) for name in failed)
    rows.extend(map(beside_the_code, BESIDE_THE_CODE))
    for program in PROGRAMS:
        if "SQLite" in program.databases:
            rows.extend(rows_of(program))
        if server and "PostgreSQL" in program.databases:
            with empty_database(server) as database:
                rows.extend(rows_of(program, "--database", database))
    minutes = (time.monotonic() - started) / 60
    DOCUMENT.write_text(document(rows, state, minutes), encoding="utf-8")
    broken = [row["fault"] for row in rows for line in row["lines"] if line.get("kept") is False]
    for fault in broken:
        print(f"not kept: {fault}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def run(command):
    subprocess.run(command, check=True)


def run_tests(name, figures):
    """Runs tests sequentially, so that they do not compete for the cores, and returns whether they passed."""
    environment = dict(
        os.environ, FULL_SIZE="1", RELIABILITY_FIGURES=str(figures), STORE_DOWN_SECONDS="30", RUST_BACKTRACE="0"
    )
    exactly = [] if name.endswith("::") else ["--exact"]
    command = ["cargo", "test", "--release", "--locked", "--test", "it", "--", "--test-threads=1", *exactly, name]
    return subprocess.run(command, env=environment).returncode == 0


def failure(test):
    """Row of a test or program that failed before it had reported all figures, so that no fault is silently missing."""
    line = {"what": "failures", "promised": "0", "measured": "one or more", "kept": False}
    return {"fault": f"what {test} tries", "test": test, "lines": [line]}


def beside_the_code(row):
    """Row of a unit test that asserts that something never happens."""
    fault, what, test = row
    package, exact = ("wechat", test.removeprefix("wechat::")) if test.startswith("wechat::") else ("wxqr", test)
    command = ["cargo", "test", "--release", "--locked", "--package", package, "--lib", "--", "--exact", exact]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    kept = ended.returncode == 0 and "1 passed" in ended.stdout
    line = {"what": what, "promised": "0", "measured": "0" if kept else "the test failed", "kept": kept}
    return {"fault": fault, "test": test.replace("::tests", ""), "lines": [line]}


def rows_of(program, *more):
    """Runs a program with more arguments. What it prints to standard error is for a person."""
    command = [sys.executable, program.path, "target/release/wxqr", *program.arguments, *more]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    rows = []
    for printed in ended.stdout.splitlines():
        kept = not printed.startswith("NOT KEPT: ")
        fault, _, measured = printed.removeprefix("NOT KEPT: ").partition(": ")
        line = {"what": program.what, "promised": program.promised, "measured": measured, "kept": kept}
        rows.append({"fault": fault, "test": program.path, "lines": [line]})
    has_failed = ended.returncode != 0 or not rows
    if has_failed and all(row["lines"][0]["kept"] for row in rows):
        rows.append(failure(program.path))
    return rows


@contextlib.contextmanager
def empty_database(server):
    """The URL of a new database on a PostgreSQL server, which is dropped at the end."""
    name = f"wxqr_reliability_{os.getpid()}"
    psql(server, f"CREATE DATABASE {name}")
    try:
        yield urllib.parse.urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        psql(server, f"DROP DATABASE {name} WITH (FORCE)")


def state_of_the_tree():
    """The commit, and whether there are uncommitted changes."""
    commit = output_of(["git", "rev-parse", "--short=10", "HEAD"])
    changes = output_of(["git", "status", "--porcelain", "--", ".", f":!{DOCUMENT.relative_to(ROOT)}"])
    return f"{commit} with changes that are not committed" if changes else commit


def output_of(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def document(rows, state, minutes):
    lines = [
        "# Faults and figures",
        "",
        "How the service behaves on bad days, measured on the release build. `bench/reliability.py` writes",
        "this page: change the tests, not the numbers. Below each fault is the name of the test that causes",
        "it. A figure without a promise in the third column depends on the machine. `cargo test` runs the",
        "same tests in a smaller size, except the programs in `bench/`. [threat-model.md](threat-model.md)",
        "lists all threats.",
        "",
        f"Measured on {datetime.date.today().isoformat()}, commit {state},",
        f"{output_of(['rustc', '--version'])}, {machine()};",
        f"{minutes:.0f} minutes. The load came from the same machine.",
        "",
        "| fault | figure | promised | measured |",
        "|---|---|---|---|",
    ]
    for row in rows:
        head = f"{row['fault']}<br>`{row['test']}`"
        for line in row["lines"]:
            measured = line["measured"] if line.get("kept") is not False else f"**not kept:** {line['measured']}"
            lines.append(f"| {head} | {line['what']} | {line.get('promised', '')} | {measured} |")
            head = ""
    return "\n".join(lines) + "\n"


def machine():
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        kibibytes = int(next(line for line in meminfo if line.startswith("MemTotal:")).split()[1])
    return f"{os.cpu_count()} cores ({platform.machine()}), {kibibytes / 1024 / 1024:.0f} GiB of memory, Linux {platform.release().split('-')[0]}"


if __name__ == "__main__":
    main()
