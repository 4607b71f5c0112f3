#!/usr/bin/env python3
"""The alerts and the dashboard, held to the metrics that there are: python3 deploy/checks/monitoring.py

Every metric that they name is one of src/telemetry/names.rs, with the labels of docs/operating.md,
and every metric is on the dashboard. Every alert has a test in which it fires, is silent in the
first test, where all is well, and has a row in the operator's guide in both languages. promtool
runs the tests and parses the dashboard's queries.

Needs promtool (Debian: prometheus) and the Python packages of requirements.txt.
"""

import json
import re
import subprocess
import tempfile

import yaml

from common import DEPLOY, TOP, expect

ALERTS = DEPLOY / "prometheus/alerts.yml"
TESTS = DEPLOY / "prometheus/alerts_test.yml"
DASHBOARD = DEPLOY / "grafana/wxqr.json"
GUIDES = [TOP / "docs/operating.md", TOP / "docs/zh/operating.md"]
# Labels that Prometheus adds, and that of a histogram's buckets.
FOREIGN_LABELS = {"job", "instance", "le"}


def metrics():
    """Every metric of the service, with its labels."""
    names = set(re.findall(r'"(wxqr_[a-z_]+)"', (TOP / "src/telemetry/names.rs").read_text()))
    labels = dict.fromkeys(names, frozenset())
    for line in GUIDES[0].read_text().splitlines():
        cells = line.split("|")
        if line.startswith("| `wxqr_"):
            for name in re.findall(r"wxqr_[a-z_]+", cells[1]):
                labels[name] = frozenset(re.findall(r"`([a-z]+)`", cells[2]))
    expect(set(labels) == names, f"docs/operating.md and src/telemetry/names.rs differ: {set(labels) ^ names}")
    return labels


def named(expression, known):
    """The metrics of an expression; a name or a label that is not known ends the check."""
    found = set()
    for name, selector in re.findall(r"(wxqr_[a-z_]+)(?:\{([^}]*)\})?", expression):
        base = name if name in known else re.sub("_(bucket|sum|count)$", "", name)
        expect(base in known, f"no metric {name}: {expression}")
        labels = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector))
        expect(labels <= known[base] | FOREIGN_LABELS, f"{name} has no {labels - known[base]}: {expression}")
        found.add(base)
    return found


def panels():
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    expect(len({panel["id"] for panel in panels}) == len(panels), "two panels have one id")
    return [panel for panel in panels if panel["type"] != "row"]


def queries():
    """Each query of the dashboard, and the words of its legend that are labels."""
    for panel in panels():
        expect(panel["description"] and panel["targets"], f"{panel['title']}: no description, or nothing to show")
        for target in panel["targets"]:
            yield panel["title"], target["expr"], re.findall(r"{{(\w+)}}", target["legendFormat"])


def check_dashboard(known):
    shown, rules = set(), []
    for title, query, legend in queries():
        shown |= named(query, known)
        grouped = " ".join(re.findall(r"by \(([^)]*)\)", query))
        expect(all(label in grouped for label in legend), f"{title}: the legend names what the query drops")
        for word, value in [("$job", "wxqr"), ("$__rate_interval", "5m")]:
            query = query.replace(word, value)
        rules.append({"record": "dashboard:query", "labels": {"query": str(len(rules))}, "expr": query})
    expect(shown == set(known), f"not on the dashboard: {set(known) - shown}")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        subprocess.run(["promtool", "check", "rules", file.name], check=True, stdout=subprocess.DEVNULL)
    return len(rules)


def check_alerts(known):
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        named(rule["expr"], known)
        expect(rule["labels"]["severity"] in ("critical", "warning"), f"{rule['alert']}: severity")
        expect(rule["annotations"]["summary"], f"{rule['alert']}: summary")
    alerts = [rule["alert"] for rule in rules]
    for guide in GUIDES:
        rows = re.findall(r"^\| `(Wxqr\w+)`", guide.read_text(), re.MULTILINE)
        expect(rows == alerts, f"{guide}: rows {rows}, alerts {alerts}")
    healthy, *others = yaml.safe_load(TESTS.read_text())["tests"]
    silent = {case["alertname"] for case in healthy["alert_rule_test"] if not case.get("exp_alerts")}
    expect(silent == set(alerts), f"not asked for where all is well: {set(alerts) - silent}")
    fired = {case["alertname"] for test in others for case in test["alert_rule_test"] if case.get("exp_alerts")}
    expect(fired == set(alerts), f"no test in which these fire: {set(alerts) - fired}")
    for command in ["check", ALERTS], ["test", TESTS]:
        subprocess.run(["promtool", command[0], "rules", command[1]], check=True, stdout=subprocess.DEVNULL)
    return len(alerts)


def main():
    known = metrics()
    print(f"{check_alerts(known)} alerts and {check_dashboard(known)} queries of the dashboard name {len(known)} metrics that there are")


if __name__ == "__main__":
    main()
