"""The alert rules as the Prometheus operator wants them: the groups of the one rules file, in an envelope.

`python -m deploy.prometheus.prometheus_rule` writes the manifest anew; a test says when it is due.
"""

from pathlib import Path

RULES = Path(__file__).with_name("rules.yaml")
MANIFEST = Path(__file__).parents[1] / "kubernetes" / "base" / "prometheus-rule.yaml"

_ENVELOPE = """\
# Written from deploy/prometheus/rules.yaml by `make rules`; edit that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: image-moderation
spec:
"""


def manifest(rules: str) -> str:
    """Return the manifest of a rules file, with its comments, by moving its text to the right."""
    lines = (f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))
    return _ENVELOPE + "".join(lines)


def main(rules: Path = RULES, target: Path = MANIFEST) -> None:
    target.write_text(manifest(rules.read_text()))


if __name__ == "__main__":
    main()
