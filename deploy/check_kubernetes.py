#!/usr/bin/env python3
"""The Kubernetes manifests: python3 deploy/check_kubernetes.py [PATH/TO/wxqr POSTGRES_URL]

kubectl renders them and kubernetes-validate compares them with the schemas of the API. What the
schemas cannot know is compared here: names that one manifest has from another, settings, and the
time for draining. With a binary and an empty database it also plays the cluster: replicas with the
manifests' settings and probes, and a rolling restart under load that loses no request.

Needs kubectl (Debian: kubernetes-client), the Python packages of deploy/requirements.txt, and for
the rolling restart a PostgreSQL server.
"""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent
# The oldest version whose API has all of these kinds, and the newest that the schemas have.
VERSIONS = ["1.25", "1.34"]
FOREIGN_KINDS = {"ServiceMonitor"}


def expect(truth, message):
    if not truth:
        raise SystemExit(f"check_kubernetes: {message}")


def rendered():
    text = subprocess.run(["kubectl", "kustomize", HERE / "kubernetes"], check=True, capture_output=True, text=True).stdout
    found = {}
    for manifest in yaml.safe_load_all(text):
        expect(manifest["kind"] not in found, f"two manifests of the kind {manifest['kind']}")
        found[manifest["kind"]] = manifest
    return found


def example():
    return yaml.safe_load((HERE / "kubernetes/secret.example.yaml").read_text())


def seconds(duration):
    return int(re.fullmatch(r"(\d+)s", duration)[1])


def defaults():
    """The settings of docs/configuration.md, with those of the image in place of their defaults."""
    rows = re.findall(r"^\| `(WXQR_\w+)` \| `?([^`|]*?)`? \| (.*) \|$", (TOP / "docs/configuration.md").read_text(), re.MULTILINE)
    in_image = {name: re.search(r"\(image: `([^`]*)`\)", meaning) for name, _, meaning in rows}
    return {name: in_image[name][1] if in_image[name] else default for name, default, _ in rows}


def container(manifests):
    (only,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def settings(manifests):
    """What the containers get as variables: the ConfigMap's, and the Deployment's own."""
    pod = container(manifests)
    expect(pod["envFrom"] == [{"configMapRef": {"name": manifests["ConfigMap"]["metadata"]["name"]}}], "envFrom")
    return {**manifests["ConfigMap"]["data"], **{entry["name"]: entry["value"] for entry in pod["env"]}}


def check_schemas(manifests):
    for kind, manifest in [*manifests.items(), ("Secret", example())]:
        for version in VERSIONS:
            if kind not in FOREIGN_KINDS:
                kubernetes_validate.validate(manifest, version, strict=True)


def check_names(manifests):
    deployment = manifests["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for kind, selector in [
        ("Deployment", deployment["selector"]["matchLabels"]), ("Service", manifests["Service"]["spec"]["selector"]),
        *[(kind, manifests[kind]["spec"]["selector"]["matchLabels"]) for kind in ["PodDisruptionBudget"]],
        ("NetworkPolicy", manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]),
    ]:
        expect(selector.items() <= labels.items(), f"{kind} does not select the pods")
    monitored = manifests["ServiceMonitor"]["spec"]
    expect(monitored["selector"]["matchLabels"].items() <= manifests["Service"]["metadata"]["labels"].items(), "ServiceMonitor: service")

    ports = {port["name"]: port["containerPort"] for port in container(manifests)["ports"]}
    served = {port["name"]: port["targetPort"] for port in manifests["Service"]["spec"]["ports"]}
    expect(set(served.values()) == set(ports), "Service: ports")
    expect({rule["ports"][0]["port"] for rule in manifests["NetworkPolicy"]["spec"]["ingress"]} == set(ports), "NetworkPolicy: ports")
    expect([endpoint["port"] for endpoint in monitored["endpoints"]] == ["metrics"], "ServiceMonitor: port")
    (rule,) = manifests["Ingress"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    expect((backend["name"], backend["port"]["name"]) == (manifests["Service"]["metadata"]["name"], "http"), "Ingress: service")
    # No link of the service leads elsewhere than the Ingress.
    expect(manifests["ConfigMap"]["data"]["WXQR_PUBLIC_URL"] == f"https://{rule['host']}", "WXQR_PUBLIC_URL")
    for name, setting in [("http", "WXQR_LISTEN"), ("metrics", "WXQR_METRICS_LISTEN")]:
        expect(defaults()[setting] == f"0.0.0.0:{ports[name]}", f"{setting} of the image is not the port {name}")
    expect(manifests["PodDisruptionBudget"]["spec"]["minAvailable"] < deployment["replicas"], "no pod may ever be evicted")


def check_settings(manifests):
    given, known = settings(manifests), defaults()
    pod = container(manifests)
    (mount,) = pod["volumeMounts"]
    (volume,) = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
    expect(volume["name"] == mount["name"] and volume["secret"]["secretName"] == example()["metadata"]["name"], "volumes")
    files = set()
    for name, value in given.items():
        expect(name in known or name.removesuffix("_FILE") in known, f"no setting {name}")
        if name.endswith("_FILE"):
            files.add(value.removeprefix(mount["mountPath"] + "/"))
    expect(files == set(example()["stringData"]), f"the Secret has other keys than {files}")
    expect(not any(example()["stringData"].values()), "the example of the Secret has values")
    draining = sum(seconds({**known, **given}[name]) for name in ["WXQR_DRAIN_DELAY", "WXQR_DRAIN_TIMEOUT"])
    grace = manifests["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    expect(draining < grace, f"draining takes up to {draining} s, and the pod has {grace} s")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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
    subprocess.run(["sh", HERE / "secrets.sh", folder], check=True)
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
    if len(sys.argv) not in (1, 3):
        raise SystemExit(__doc__)
    manifests = rendered()
    check_schemas(manifests)
    check_names(manifests)
    check_settings(manifests)
    print(f"{len(manifests)} manifests fit the API of Kubernetes {VERSIONS[0]} and {VERSIONS[-1]}, and each other")
    if len(sys.argv) == 3:
        asked = check_rollout(os.path.realpath(sys.argv[1]), sys.argv[2], manifests)
        print(f"a rolling restart lost none of {asked} requests")


if __name__ == "__main__":
    main()
