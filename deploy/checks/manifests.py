#!/usr/bin/env python3
"""The Kubernetes manifests: python3 deploy/checks/manifests.py

kubectl renders them. kubernetes-validate compares them with the schemas of the API, and
@kubernetes-models/prometheus-operator the ServiceMonitor with that of its operator. What the schemas
cannot know is compared here: names that one manifest has from another, settings, and the times for
starting and draining.

Needs kubectl (Debian: kubernetes-client), the Python packages of requirements.txt, Node.js, and
that package of npm in $KUBERNETES_MODELS/node_modules.
"""

import json
import os
import re
import subprocess

import kubernetes_validate
import yaml

from common import DEPLOY, TOP, expect

# The oldest version whose API has all of these kinds, and the newest that the schemas have.
VERSIONS = ["1.25", "1.34"]
FOREIGN_KINDS = {"ServiceMonitor"}

VALIDATE_SERVICE_MONITOR = """
import fs from "node:fs";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
new ServiceMonitor(JSON.parse(fs.readFileSync(0, "utf8"))).validate();
"""


def rendered():
    text = subprocess.run(["kubectl", "kustomize", DEPLOY / "kubernetes"], check=True, capture_output=True, text=True).stdout
    found = {}
    for manifest in yaml.safe_load_all(text):
        expect(manifest["kind"] not in found, f"two manifests of the kind {manifest['kind']}")
        found[manifest["kind"]] = manifest
    return found


def example():
    return yaml.safe_load((DEPLOY / "kubernetes/secret.example.yaml").read_text())


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


def check_service_monitor(manifest):
    folder = os.environ.get("KUBERNETES_MODELS")
    expect(folder, "KUBERNETES_MODELS names no folder: npm install --prefix FOLDER @kubernetes-models/prometheus-operator@6")
    command = ["node", "--input-type=module", "--eval", VALIDATE_SERVICE_MONITOR]
    ended = subprocess.run(command, cwd=folder, input=json.dumps(manifest), stderr=subprocess.PIPE, text=True)
    expect(ended.returncode == 0, f"ServiceMonitor: {ended.stderr.strip()}")


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
    probe = pod["startupProbe"]
    starting, deadline = probe["periodSeconds"] * probe["failureThreshold"], manifests["Deployment"]["spec"]["progressDeadlineSeconds"]
    expect(starting < deadline, f"a start may take {starting} s, and a rollout {deadline} s")


def main():
    manifests = rendered()
    check_schemas(manifests)
    check_service_monitor(manifests["ServiceMonitor"])
    check_names(manifests)
    check_settings(manifests)
    print(f"{len(manifests)} manifests fit the API of Kubernetes {VERSIONS[0]} and {VERSIONS[-1]}, and each other")


if __name__ == "__main__":
    main()
