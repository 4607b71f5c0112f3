#!/usr/bin/env python3
"""Measures the service beside a naive handler and bare axum, and writes docs/performance.md from the results.

    pip install tornado fastapi uvicorn wechatpy cryptography
    bench/compare.py [--rounds 3] [--seconds 3] [--only NAME] [--binary FILE] [--print]

Builds the release with the two peers, which are examples of the package, and measures each case in rounds that alternate
between the servers: figures of different runs must not be compared, only the ratios within one. Servers run on core 0, the load
and the upstream on core 1. TEST_DATABASE_URL names a PostgreSQL server and a role that may create databases; without it those
rows are left out. The case "slow disk" needs strace. Exits with 1 if a wanted ratio was missed. Needs Linux, wrk, Python 3.9.
"""

import argparse
import atexit
import base64
import datetime
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

from rig import Load, Server, alternating

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
BASELINES = ROOT / "bench" / "baselines"

KEY = base64.b32encode(os.urandom(15)).decode()
TOKEN = "Token1"
SYNC_DELAY_MS = 10
CACHED_SCENES = 20_000


class Bench:
    """The binaries, the folder of the databases, and what was measured."""

    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = pathlib.Path(folder)
        self.binaries = pathlib.Path(arguments.binary).resolve().parent
        self.postgresql = os.environ.get("TEST_DATABASE_URL")
        self.rows = []
        self.wanted = []
        self.databases = []
        self.upstream = Server("upstream", pinned(1, [self.binaries / "examples" / "upstream", "{port}"]))

    def created(self):
        """Codes that the upstream has made, once no more come: a client may leave before its code is made."""
        before, now = None, self.upstream.get("/created")
        while now != before:
            time.sleep(0.5)
            before, now = now, self.upstream.get("/created")
        return int(now)

    def bare_axum(self):
        return Server("bare axum", pinned(0, [self.binaries / "examples" / "bare_axum", "{port}"]))

    def tornado(self):
        upstream = f"http://127.0.0.1:{self.upstream.port}"
        command = [sys.executable, BASELINES / "tornado_handler.py", "{port}", upstream]
        return Server("Tornado handler", pinned(0, command))

    def fastapi(self):
        command = [sys.executable, BASELINES / "fastapi_callback.py", "{port}", TOKEN]
        return Server("FastAPI handler", pinned(0, command))

    def wxqr(self, name, database="sqlite", wrapped=(), log_is_read=True, **settings):
        """The service without limits for visitors, since all of them have one address here."""
        upstream = f"http://127.0.0.1:{self.upstream.port}"
        environment = {
            "WXQR_LISTEN": "127.0.0.1:{port}", "WXQR_METRICS_LISTEN": "127.0.0.1:{metrics}",
            "WXQR_APP_ID": "wx0123456789abcdef", "WXQR_APP_SECRET": "0123456789abcdef0123456789abcdef",
            "WXQR_API_BASE": upstream, "WXQR_MP_BASE": upstream, "WXQR_DATABASE_URL": self.database(database),
            "WXQR_API_KEYS": f"bench:{KEY}:admin", "WXQR_CALLBACK_TOKEN": TOKEN,
            "WXQR_VISITOR_RATE": "1000000/1s", "WXQR_VISITOR_PACE": "1000000/1s",
            "WXQR_ANONYMOUS_BUDGET": "100000000", "WXQR_LOG": "warn", **settings,
        }
        # A pipe, as in a container: a terminal or a file would cost something else.
        reader = ["cat"] if log_is_read else ["sleep", "infinity"]
        log = subprocess.Popen(pinned(1, reader), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if not log_is_read:
            atexit.register(log.kill)
        server = Server(name, [*wrapped, *pinned(0, [self.binaries / "wxqr", "serve"])], environment, log=log.stdin)
        log.stdin.close()
        server.wait_until_ready("/readyz")
        return server

    def database(self, engine):
        name = f"wxqr_bench_{os.getpid()}_{len(self.databases)}"
        if engine == "sqlite":
            self.databases.append(None)
            return f"sqlite://{self.folder}/{name}.db"
        self.databases.append(name)
        subprocess.run(["psql", "-q", self.postgresql, "-c", f"CREATE DATABASE {name}"], check=True)
        return urllib.parse.urlsplit(self.postgresql)._replace(path=f"/{name}").geturl()

    def drop_databases(self):
        for name in filter(None, self.databases):
            subprocess.run(["psql", "-q", self.postgresql, "-c", f"DROP DATABASE {name} WITH (FORCE)"], check=True)

    def load(self, target, **more):
        return Load(target, seconds=self.arguments.seconds, **more)

    def measure(self, case, load, servers, base=None):
        """Adds a row for each server. The base of the ratios is the first of them, or `base`, a server with a load of its own that
        is measured beside them. Returns the figures by name."""
        runs = [base] if base else []
        runs += [(server, load) for server in servers]
        got = alternating(runs, self.arguments.rounds)
        base = got[runs[0][0].name]
        for server in servers:
            figures = got[server.name]
            figures["x_per_s"] = figures["per_s"] / base["per_s"]
            figures["x_cpu"] = figures["cpu_us"] / base["cpu_us"]
            self.rows.append((case, server.name, figures))
            if figures["refused"] or figures["lost"]:
                self.want(f"{case}, {server.name}: refused or lost", figures["refused"] + figures["lost"], "at most", 0)
        return got

    def want(self, what, measured, relation, limit):
        kept = measured >= limit if relation == "at least" else measured <= limit
        self.wanted.append((what, measured, relation, limit, kept))
        print(f"{'ok  ' if kept else 'MISSED'} {what}: {measured:.2f}, {relation} {limit}", file=sys.stderr)


def pinned(core, command):
    return ["taskset", "--cpu-list", str(core), *command]


def new_scenes(bench):
    """A code that nobody has asked for before: one call to WeChat, and durable on disk before the answer."""
    engines = ["sqlite", "postgresql"] if bench.postgresql else ["sqlite"]
    names = {"sqlite": "wxqr, SQLite", "postgresql": "wxqr, PostgreSQL"}
    servers = [bench.tornado(), *(bench.wxqr(names[engine], engine) for engine in engines)]
    for connections in [64, 512, 1]:
        before = commits(servers[1:]), bench.created()
        load = bench.load("/qrcode?scene_id={number}", connections=connections)
        got = bench.measure(f"new scene, {many(connections)}", load, servers)
        made = commits(servers[1:])
        if connections == 64:
            for name, after in made.items():
                each = (after - before[0][name]) / got[name]["requests"]
                bench.want(f"commits a new scene, {name}", each, "at most", 0.1)
        # At the end of each round the last request of each connection has no answer, but a code.
        asked = sum(figures["requests"] for figures in got.values())
        asked += connections * bench.arguments.rounds * len(servers)
        bench.want(f"calls to WeChat a new scene, {many(connections)}", (bench.created() - before[1]) / asked, "at most", 1)
        want_new_scenes(bench, connections, got)
    for server in servers:
        server.stop()


def want_new_scenes(bench, connections, got):
    base, sqlite = got["Tornado handler"], got["wxqr, SQLite"]
    if connections == 1:
        bench.want("p50 over Tornado's, 1 connection", sqlite["p50_ms"] / base["p50_ms"], "at most", 1)
        return
    bench.want(f"throughput, SQLite, {many(connections)}", sqlite["x_per_s"], "at least", 4)
    bench.want(f"CPU, SQLite, {many(connections)}", sqlite["x_cpu"], "at most", 0.25)
    bench.want(f"p99 over Tornado's p50, {many(connections)}", sqlite["p99_ms"] / base["p50_ms"], "at most", 1)
    if bench.postgresql:
        bench.want(f"throughput, PostgreSQL, {many(connections)}", got["wxqr, PostgreSQL"]["x_per_s"], "at least", 3)
        bench.want(f"CPU, PostgreSQL, {many(connections)}", got["wxqr, PostgreSQL"]["x_cpu"], "at most", 0.25)


def many(connections):
    return "1 connection" if connections == 1 else f"{connections} connections"


def commits(servers):
    return {server.name: server.metric("wxqr_store_commits_total") for server in servers}


def permanent(bench):
    """Permanent codes that a key asks for: their ledger entry is durable before WeChat is called."""
    tornado, server = bench.tornado(), bench.wxqr("wxqr, SQLite", WXQR_PERMANENT_LIMIT="100000")
    new_scene = bench.load("/qrcode?scene_id={number}")
    load = bench.load("/qrcode.json?scene_str=shop-{number}&permanent=true", headers=[f"Authorization: Bearer {KEY}"])
    got = bench.measure("permanent code, 64 connections", load, [server], base=(tornado, new_scene))
    bench.want("permanent codes a second", got["wxqr, SQLite"]["per_s"], "at least", 2500)
    bench.want("throughput of permanent codes", got["wxqr, SQLite"]["x_per_s"], "at least", 1.6)
    for one in [tornado, server]:
        one.stop()


def slow_disk(bench):
    """Each sync to the disk takes 10 ms more, as on a cloud disk."""
    if not shutil.which("strace"):
        print("strace is missing: the slow disk is left out", file=sys.stderr)
        return
    delay = f"inject=fsync,fdatasync:delay_exit={SYNC_DELAY_MS * 1000}"
    # -D: the server stays our child, and the tracer is the grandchild.
    wrapped = ["strace", "-D", "--seccomp-bpf", "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e", delay]
    server = bench.wxqr("wxqr, SQLite", wrapped=wrapped)
    got = bench.measure("new scene, sync takes 10 ms more", bench.load("/qrcode?scene_id={number}"), [server])
    bench.want("new scenes a second on the slow disk", got["wxqr, SQLite"]["per_s"], "at least", 300)
    server.stop()


def known_codes(bench):
    """A code that is in memory, beside axum that only sends a short page."""
    axum, quiet, usual = bench.bare_axum(), bench.wxqr("wxqr"), bench.wxqr("wxqr, default log", WXQR_LOG="info")
    page = bench.load("/qrcode?scene_id=7")
    got = bench.measure("known page", page, [axum, quiet, usual])
    bench.want("CPU of a known page", got["wxqr"]["x_cpu"], "at most", 2.0)
    bench.want("CPU of a known page with the default log", got["wxqr, default log"]["x_cpu"], "at most", 3.0)
    etag = re.search(r'(?im)^etag: *(.+?)\r?$', head(quiet, "/qrcode.png?scene_id=7"))[1]
    for case, target, headers in [
        ("known JSON", "/qrcode.json?scene_id=7", []),
        ("known PNG", "/qrcode.png?scene_id=7", []),
        ("PNG that the client has (304)", "/qrcode.png?scene_id=7", [f"If-None-Match: {etag}"]),
        ("/healthz", "/healthz", []),
    ]:
        got = bench.measure(case, bench.load(target, headers=headers), [quiet], base=(axum, page))
        bench.want(f"CPU of {case}", got["wxqr"]["x_cpu"], "at most", 1.8)
    scenes = bench.load("/qrcode?scene_id={number}", wrap=CACHED_SCENES)
    asked = 0
    while asked < CACHED_SCENES:
        asked += scenes.run(quiet)["requests"]
    got = bench.measure("known page, each of 20,000 in turn", scenes, [quiet], base=(axum, page))
    bench.want("CPU of a known page that is not ready", got["wxqr"]["x_cpu"], "at most", 3.2)
    unread = bench.wxqr("wxqr, log that nobody reads", log_is_read=False, WXQR_LOG="info")
    got = bench.measure("known page", page, [unread], base=(axum, page))
    bench.want("p99 in ms while nobody reads the log", got[unread.name]["p99_ms"], "at most", 5)
    for server in [axum, quiet, usual, unread]:
        server.stop()


def head(server, path):
    command = ["curl", "--silent", "--head", f"http://127.0.0.1:{server.port}{path}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def pushes(bench):
    """Events at the callback, each of another follower: stored and counted before the acknowledgement."""
    servers = [bench.fastapi(), bench.wxqr("wxqr, SQLite")]
    if bench.postgresql:
        servers.append(bench.wxqr("wxqr, PostgreSQL", "postgresql"))
    now, nonce = str(int(time.time())), "1234567890"
    signature = hashlib.sha1("".join(sorted([TOKEN, now, nonce])).encode()).hexdigest()
    target = f"/callback?signature={signature}&timestamp={now}&nonce={nonce}"
    load = bench.load(target, method="POST", body=scan(now, "gQE0"), headers=["Content-Type: text/xml"])
    got = bench.measure("event, 64 connections", load, servers)
    bench.want("CPU of an event", got["wxqr, SQLite"]["x_cpu"], "at most", 0.5)
    bench.want("events a second", got["wxqr, SQLite"]["per_s"], "at least", 10_000)
    bench.want("throughput of events, SQLite", got["wxqr, SQLite"]["x_per_s"], "at least", 1.5)
    if bench.postgresql:
        bench.want("throughput of events, PostgreSQL", got["wxqr, PostgreSQL"]["x_per_s"], "at least", 1)
    for server in servers:
        server.stop()
    replies(bench, target, now)


def scan(now, ticket):
    return (
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o{number}]]></FromUserName>"
        f"<CreateTime>{now}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event>"
        f"<EventKey><![CDATA[123]]></EventKey><Ticket><![CDATA[{ticket}]]></Ticket></xml>"
    )


def replies(bench, target, now):
    """Scans of a code without a reply, and of one with the longest: it is written into the acknowledgement."""
    servers = [bench.wxqr("wxqr, SQLite, no reply"), bench.wxqr("wxqr, SQLite, replies")]
    for server, reply in zip(servers, [None, "迎" * 600]):
        code = {"scene_str": "123", "permanent": True, "ticket": "gQE1", "url": "http://weixin.qq.com/q/02", "reply": reply}
        server.post("/api/codes", code, KEY)
    load = bench.load(target, method="POST", body=scan(now, "gQE1"), headers=["Content-Type: text/xml"])
    got = bench.measure("scan of a code, 64 connections", load, servers)
    bench.want("CPU of an event with a reply", got["wxqr, SQLite, replies"]["x_cpu"], "at most", 1.5)
    for server in servers:
        server.stop()


CASES = {
    "new": new_scenes, "permanent": permanent, "slow-disk": slow_disk, "known": known_codes, "pushes": pushes,
}


def main():
    arguments = parsed_arguments()
    os.chdir(ROOT)
    if not arguments.binary:
        build = ["cargo", "build", "--release", "--locked", "--bin", "wxqr"]
        subprocess.run([*build, "--example", "bare_axum", "--example", "upstream"], check=True)
        arguments.binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release" / "wxqr"
    # Not in /tmp, which may be memory: the disk is measured too.
    (ROOT / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        bench = Bench(arguments, folder)
        try:
            for name, case in CASES.items():
                if arguments.only in (None, name):
                    case(bench)
        finally:
            bench.upstream.stop()
            bench.drop_databases()
    text = document(bench)
    if arguments.print or arguments.only:
        print(text)
    else:
        DOCUMENT.write_text(text, encoding="utf-8")
    sys.exit(0 if all(kept for *_, kept in bench.wanted) else 1)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--binary", help="a release binary; its examples are beside it")
    parser.add_argument("--print", action="store_true", help="print instead of writing the document")
    return parser.parse_args()


def document(bench):
    rows = "\n".join(row(*one) for one in bench.rows)
    wanted = "\n".join(
        f"| {what} | {relation} {limit:,} | {measured:,.2f} | {'yes' if kept else '**no**'} |"
        for what, measured, relation, limit, kept in bench.wanted
    )
    return f"""# Performance

What requests cost, measured beside two baselines in one run. `bench/compare.py` writes this page:
change the program, not the numbers. The machine is small and shared, so only ratios within a run
mean something; all load came from the same machine.

- **Tornado handler**: what one writes in an hour. One call to WeChat a request, no database, no
  limits, a page of some 200 bytes.
- **bare axum**: parses the query and sends a page of 163 bytes. The limit of this stack.
- **FastAPI handler**: checks the signature of a push and parses the event. It stores nothing.
- **wxqr** stores each new code and each event durably before it answers, keeps its limits, and
  sends its whole page.

Measured on {datetime.date.today()}, commit {commit()}, {output('rustc', '--version')},
{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release()}; {bench.arguments.rounds} rounds of
{bench.arguments.seconds} s, medians. Each server has one core.

| case | server | requests/s | × | p50 / p99 ms | CPU a request, µs | × |
|---|---|---:|---:|---:|---:|---:|
{rows}

The × are ratios to the first server of the case; of a permanent code, to the Tornado handler's new
scene; below "known page", to bare axum's page. The limits that are no ratios are of a faster machine:
there the FastAPI handler made 6,672 events a second, so 10,000 are 1.5 of it, and the Tornado handler
1,560 new scenes, so 2,500 permanent codes are 1.6 of it.

| wanted | limit | measured | kept |
|---|---|---:|---|
{wanted}
"""


def row(case, server, figures):
    return (
        f"| {case} | {server} | {figures['per_s']:,.0f} | {figures['x_per_s']:.2f} "
        f"| {figures['p50_ms']:.1f} / {figures['p99_ms']:.1f} | {figures['cpu_us']:,.1f} | {figures['x_cpu']:.2f} |"
    )


def commit():
    changed = output("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "crates", "Cargo.lock")
    return output("git", "rev-parse", "--short=10", "HEAD") + (" with changes" if changed else "")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
