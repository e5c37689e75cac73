"""Whether advisories are known for what ``requirements.lock`` pins: pip-audit, where its database can be reached.

``python -m tests.known_vulnerabilities`` prints what it found, and fails where there is something to do. Offline it
says so in one line and succeeds: nobody has to be online to work on this.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
SECONDS = 60.0
UNREACHABLE = "known vulnerabilities: not checked, the advisory database cannot be reached"


def judge(report: str) -> tuple[int, str]:
    """Exit code and what to print, for pip-audit's output in JSON; anything else means that it could not look."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, UNREACHABLE
    looked_at = [found for found in dependencies or () if "skip_reason" not in found]
    if not looked_at:
        return 0, UNREACHABLE
    lines = [
        f"{found['name']} {found['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'none yet'}"
        for found in looked_at
        for flaw in found["vulns"]
    ]
    if lines:
        return 1, "\n".join(["known vulnerabilities in requirements.lock (make lock takes newer versions):", *lines])
    skipped = len(dependencies) - len(looked_at)
    return 0, f"known vulnerabilities: none in {len(looked_at)} packages" + (f", {skipped} skipped" if skipped else "")


def main() -> int:
    """The exit code."""
    options = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off", "--timeout=5")
    command = (sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), *options)
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        code, text = judge(ran.stdout)
    except subprocess.TimeoutExpired:
        code, text = 0, UNREACHABLE
    print(text)  # noqa: T201 -- it is what the command is for
    return code


if __name__ == "__main__":
    sys.exit(main())
