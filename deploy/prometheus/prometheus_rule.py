"""Writes the groups of rules.yaml as a PrometheusRule, the manifest of the Prometheus operator.

`make rules` runs it; a test fails when the manifest is out of date.
"""

from pathlib import Path

RULES = Path(__file__).with_name("rules.yaml")
MANIFEST = Path(__file__).parents[1] / "kubernetes" / "base" / "prometheus-rule.yaml"

_ENVELOPE = """\
# Generated from deploy/prometheus/rules.yaml by `make rules`; edit rules.yaml instead.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: image-moderation
spec:
"""


def manifest(rules: str) -> str:
    """Return the manifest for the text of a rules file: that text, indented, so that its comments stay."""
    lines = (f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))
    return _ENVELOPE + "".join(lines)


def main(rules: Path = RULES, target: Path = MANIFEST) -> None:
    target.write_text(manifest(rules.read_text()))


if __name__ == "__main__":
    main()
