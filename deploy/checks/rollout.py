#!/usr/bin/env python3
"""A rolling restart by the Kubernetes manifests: python3 deploy/checks/rollout.py PATH/TO/wxqr POSTGRES_URL

Plays the cluster on an empty database: processes with the settings and probes of the manifests, a
balancer that knows of changes some seconds late, and the restart of one replica after the other.
Under load, no request may be lost.

Needs what manifests.py needs, and a PostgreSQL server.
"""

import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from common import DEPLOY, expect, free_port
from manifests import container, example, rendered, settings


def get(port, path, headers=(), timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Pod:
    """A replica, with the settings and probes of the manifests, and ports of its own."""

    def __init__(self, binary, manifests, secrets, more, log):
        self.port, self.probes = free_port(), container(manifests)
        mount = self.probes["volumeMounts"][0]["mountPath"]
        given = {name: value.replace(mount, str(secrets)) for name, value in settings(manifests).items()}
        given |= {"WXQR_LISTEN": f"127.0.0.1:{self.port}", "WXQR_METRICS_LISTEN": f"127.0.0.1:{free_port()}", **more}
        self.process = subprocess.Popen([binary, *self.probes["args"]], env=given, stdout=log, stderr=log)

    def passes(self, probe):
        wanted = self.probes[probe]
        with contextlib.suppress(OSError):
            return get(self.port, wanted["httpGet"]["path"], timeout=wanted.get("timeoutSeconds", 1))[0] == 200
        return False

    def start(self):
        probe = self.probes["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            if self.passes("startupProbe"):
                return
            expect(self.process.poll() is None, "a replica ends while it starts")
            time.sleep(probe["periodSeconds"])
        expect(False, "a replica does not start in time")

    def stop(self, grace):
        """SIGTERM, and an end within the grace period."""
        self.process.send_signal(signal.SIGTERM)
        expect(self.process.wait(grace) == 0, "a replica did not drain")


class Balancer:
    """Endpoints as the cluster has them: a pod that fails its readiness probe or is being deleted leaves after a delay."""

    # How long a real cluster may take to tell its proxies; the drain delay has to be longer.
    DELAY = 3

    def __init__(self):
        self.endpoints, self.lock, self.asked, self.turn = [], threading.Lock(), 0, 0
        self.failures, self.stopped = [], threading.Event()

    def add(self, pod):
        with self.lock:
            self.endpoints.append(pod)

    def remove(self, pod):
        time.sleep(self.DELAY)
        with self.lock:
            self.endpoints.remove(pod)

    def next(self):
        with self.lock:
            self.turn += 1
            return self.endpoints[self.turn % len(self.endpoints)]

    def load(self):
        """Known codes and new ones. A connection for each request: one that was kept could be seen to close."""
        number = 0
        while not self.stopped.is_set():
            number += 1
            path = f"/qrcode.json?scene_id={number if number % 10 == 0 else number % 10 + 1}&permanent=false"
            try:
                status, body = get(self.next().port, path, {"Authorization": "Bearer 0123456789abcdef"})
                failure = None if status == 200 else f"{path}: {status} {body[:200]}"
            except (OSError, http.client.HTTPException) as error:
                failure = f"{path}: {error!r}"
            with self.lock:
                self.asked += 1
                if failure:
                    self.failures.append(failure)


def write_secrets(folder, database):
    subprocess.run(["sh", DEPLOY / "secrets.sh", folder], check=True)
    for name, value in [("app_secret", "secret"), ("database_url", database), ("api_keys", "check:0123456789abcdef:admin")]:
        (folder / name).write_text(value + "\n")
    expect({file.name for file in folder.iterdir()} == set(example()["stringData"]), "deploy/secrets.sh makes other files")


def check_rollout(binary, database, manifests):
    spec = manifests["Deployment"]["spec"]
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    expect(spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}, "the rollout below is of another kind")
    sandbox = free_port()
    more = {"WXQR_APP_ID": "wxtest", "WXQR_API_BASE": f"http://127.0.0.1:{sandbox}", "WXQR_MP_BASE": f"http://127.0.0.1:{sandbox}",
            "WXQR_LOG": "warn"}
    balancer, pods = Balancer(), []
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "w+b") as log:
        secrets = pathlib.Path(folder) / "secrets"
        write_secrets(secrets, database)
        wechat = subprocess.Popen([binary, "sandbox", "--listen", f"127.0.0.1:{sandbox}", "--account", "wxtest:secret"],
                                  stdout=log, stderr=log, env={})
        try:
            def start():
                pods.append(Pod(binary, manifests, secrets, more, log))
                pods[-1].start()
                expect(pods[-1].passes("readinessProbe") and pods[-1].passes("livenessProbe"), "a started replica fails a probe")
                balancer.add(pods[-1])
                return pods[-1]

            running = [start() for _ in range(spec["replicas"])]
            clients = [threading.Thread(target=balancer.load, daemon=True) for _ in range(8)]
            for client in clients:
                client.start()
            for old in running:
                start()
                leaving = threading.Thread(target=balancer.remove, args=[old])
                leaving.start()
                old.stop(grace)
                leaving.join()
            balancer.stopped.set()
            for client in clients:
                client.join()
        except SystemExit:
            log.seek(0)
            print(log.read().decode()[-3000:])
            raise
        finally:
            for process in [wechat, *(pod.process for pod in pods)]:
                if process.poll() is None:
                    process.kill()
                process.wait()
    expect(not balancer.failures, f"{len(balancer.failures)} of {balancer.asked} requests failed, such as {balancer.failures[:3]}")
    expect(balancer.asked > 100, f"only {balancer.asked} requests")
    return balancer.asked


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    asked = check_rollout(os.path.realpath(sys.argv[1]), sys.argv[2], rendered())
    print(f"a rolling restart lost none of {asked} requests")


if __name__ == "__main__":
    main()
