"""The tutorial, and README's session, which is run where the tutorial tries to write."""

from pathlib import Path

from documented import follow, tutorial_and_session
from real_server import Server


def test_the_tutorial_and_the_session_in_the_readme_go_as_they_say(server: Server, tmp_path: Path):
    follow(tutorial_and_session(), tmp_path, server)
