"""Servers that are measured, the load on them, and how programs report: a part of the others here."""

import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

STARTS_WITHIN_S = 30
ENDS_WITHIN_S = 60
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# Called by wrk for each request and at the end. The number makes requests differ from one another.
SCRIPT = """
local number = tonumber(os.getenv("FIRST"))
local wrap = tonumber(os.getenv("WRAP"))
local method, path, body = os.getenv("METHOD"), os.getenv("TARGET"), os.getenv("BODY")
local with = function(text)
  return (text:gsub("{number}", function() return string.format("%d", wrap > 0 and number % wrap + 1 or number) end))
end
request = function()
  number = number + 1
  return wrk.format(method, with(path), nil, body ~= "" and with(body) or nil)
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"refused":%d,"lost":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class Server:
    """A process that listens on a port of 127.0.0.1."""

    def __init__(self, name, command, environment=None, log=subprocess.DEVNULL, starts_within_s=STARTS_WITHIN_S):
        self.name = name
        self.port = free_port()
        self.metrics_port = free_port()
        named = {"port": self.port, "metrics": self.metrics_port}
        command = [str(part).format(**named) for part in command]
        given = {name: value.format(**named) for name, value in (environment or {}).items()}
        self.process = subprocess.Popen(
            command, env=dict(os.environ, **given), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self.wait_for_port(starts_within_s)

    def wait_for_port(self, within_s):
        deadline = time.monotonic() + within_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.name} did not start") from None
                time.sleep(0.05)

    def get(self, path, port=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def post(self, path, body, key):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=30).close()

    def wait_until_ready(self, path, within_s=STARTS_WITHIN_S):
        """Waits for a 200: until then a server may answer something else."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                self.get(path)
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} is not ready")

    def metric(self, name):
        """Sum of a metric over its labels."""
        lines = self.get("/metrics", self.metrics_port).splitlines()
        named = [line for line in lines if line.startswith((name + " ", name + "{"))]
        return sum(float(line.rpartition(" ")[2]) for line in named)

    def cpu_s(self):
        """User and system time of the process and its threads so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def report(line, kept):
    """Prints a row for reliability.py: the fault, a colon, and the figures. What else a program says goes to standard error."""
    print(line if kept else f"NOT KEPT: {line}", flush=True)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Load:
    """Requests of one sort. `{number}` in the target and the body differs in each request; with `wrap` there are so many different
    ones, in turn."""

    first = 1

    def __init__(self, target, method="GET", body="", headers=(), connections=64, seconds=3, wrap=0):
        self.target, self.method, self.body = target, method, body
        self.headers, self.connections, self.seconds, self.wrap = headers, connections, seconds, wrap

    def run(self, server):
        """Sends the load once, and returns its figures."""
        environment = dict(
            os.environ, FIRST=str(Load.first), METHOD=self.method, TARGET=self.target, BODY=self.body, WRAP=str(self.wrap)
        )
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(SCRIPT)
            script.flush()
            command = ["wrk", "--threads=1", f"--connections={self.connections}", f"--duration={self.seconds}s",
                       "--timeout=30s", "--latency", "--script", script.name]
            for header in self.headers:
                command += ["--header", header]
            before = server.cpu_s()
            command.append(f"http://127.0.0.1:{server.port}")
            ended = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            cpu_s = server.cpu_s() - before
        figures = json.loads(ended.stdout.strip().splitlines()[-1])
        # Requests under way at the end have taken numbers too.
        Load.first += figures["requests"] + 10 * self.connections
        figures["per_s"] = figures["requests"] / figures["seconds"]
        figures["cpu_us"] = cpu_s * 1e6 / max(figures["requests"], 1)
        return figures


def alternating(runs, rounds):
    """Medians by server, of pairs of a server and its load. They take turns, so that a slow moment of the machine hits all."""
    got = {server.name: [] for server, _ in runs}
    for _ in range(rounds):
        for server, load in runs:
            got[server.name].append(load.run(server))
    return {name: medians(figures) for name, figures in got.items()}


def medians(rounds):
    figures = {field: statistics.median(one[field] for one in rounds) for field in rounds[0]}
    for field in ["requests", "refused", "lost"]:
        figures[field] = sum(one[field] for one in rounds)
    return figures
