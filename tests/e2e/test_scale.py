"""Many providers, consumers and objects in one process, as ``make bench`` measures them with a hundred of each."""

import subprocess
import sys
from pathlib import Path

import orjson

REPOSITORY = Path(__file__).resolve().parents[2]


def test_many_consumers_each_see_exactly_the_objects_of_their_provider(tmp_path: Path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.bench", "--tiny", "--only", "scale", "--scale", "6,18,10"]
    done = subprocess.run(
        [*command, "--json", str(report)], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {found["name"]: found for found in orjson.loads(report.read_bytes())["rows"]}
    assert measured["18 consumers with exactly their provider's objects"]["value"] == 18
    assert measured["6 providers x 18 consumers x 10 objects: memory"]["value"] > 0
    assert measured["6 providers x 18 consumers x 10 objects: in all"]["value"] > 0
