import stat
from pathlib import Path

import pytest
import yaml

from kcpcache.client.kubeconfig import Edit, Entry, KubeconfigError, kubeconfig_files, load_kubeconfig, write_edit


def document(name: str, current: str = "", **more):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}", "extensions": [{"name": "x"}]}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"token": name}}],
        **({"current-context": current} if current else {}),
        **more,
    }


def written(path: Path, content) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_flag_comes_before_the_environment_and_that_before_the_home_directory():
    home = Path("/home/me")
    assert kubeconfig_files("/x", {"KUBECONFIG": "/a:/b"}, home) == (Path("/x"),)
    assert kubeconfig_files("", {"KUBECONFIG": "/a::/b:/a"}, home) == (Path("/a"), Path("/b"))
    assert kubeconfig_files("", {}, home) == (home / ".kube" / "config",)


def test_of_several_files_the_first_word_counts(tmp_path):
    first, second = written(tmp_path / "a", document("a")), written(tmp_path / "b", document("b", "b"))
    third = written(tmp_path / "c", {**document("a", "a"), "clusters": [{"name": "a", "cluster": {"server": "no"}}]})
    config = load_kubeconfig((tmp_path / "missing", first, second, third))
    assert config.current_context == "b"
    assert config.default_file == first
    assert {name: (each.body["server"], each.origin) for name, each in config.clusters.items()} == {
        "a": ("https://a", first),
        "b": ("https://b", second),
    }


def test_no_file_at_all_is_an_empty_kubeconfig_but_not_where_a_flag_names_it(tmp_path):
    config = load_kubeconfig((tmp_path / "x", tmp_path / "y"))
    assert (config.current_context, config.clusters, config.default_file) == ("", {}, tmp_path / "x")
    with pytest.raises(KubeconfigError, match="does not exist"):
        load_kubeconfig((tmp_path / "x",), explicit=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not YAML"),
        ("- a", "is not a kubeconfig"),
        ("clusters: x", "clusters is not a list"),
        ("users: [x]", "an entry of users is not a name with a user"),
        ("users: [{name: a, user: x}]", "an entry of users is not a name with a user"),
        ("contexts: [{context: {}}]", "an entry of contexts is not a name with a context"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path, text, why):
    (tmp_path / "x").write_text(text)
    with pytest.raises(KubeconfigError, match=why):
        load_kubeconfig((tmp_path / "x",))


def test_an_edit_keeps_what_it_does_not_know_and_what_others_changed_meanwhile(tmp_path):
    path = written(tmp_path / "config", document("a", "a", preferences={"colors": True}, mine=[1]))
    path.chmod(0o640)
    config = load_kubeconfig((path,))
    written(path, {**document("a", "a", preferences={"colors": True}, mine=[1]), "users": []})
    cluster = config.clusters["a"]
    write_edit(config, Edit({"new": Entry({**cluster.body, "server": "https://new"}, cluster.origin)}, {}, "new"))
    assert yaml.safe_load(path.read_text()) == {
        **document("a", "new", preferences={"colors": True}, mine=[1]),
        "users": [],
        "clusters": [
            *document("a")["clusters"],
            {"name": "new", "cluster": {"server": "https://new", "extensions": [{"name": "x"}]}},
        ],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_entries_stay_in_their_files_and_the_current_context_is_the_first_files(tmp_path):
    first, second = written(tmp_path / "a", document("a", "a")), written(tmp_path / "b", document("b"))
    config = load_kubeconfig((first, second))
    b = config.contexts["b"]
    write_edit(config, Edit({}, {"b": Entry({**b.body, "user": "z"}, first), "c": b}, "c"))
    assert yaml.safe_load(first.read_text()) == document("a", "c")
    assert {each["name"]: each["context"]["user"] for each in yaml.safe_load(second.read_text())["contexts"]} == {
        "b": "z",
        "c": "b",
    }


def test_a_relative_path_still_leads_to_its_file_in_another_directory(tmp_path):
    (tmp_path / "other").mkdir()
    near = {**document("a", "a"), "clusters": [{"name": "a", "cluster": {"certificate-authority": "ca.crt"}}]}
    first, second = written(tmp_path / "a", near), written(tmp_path / "other" / "b", document("b"))
    config = load_kubeconfig((first, second))
    assert config.clusters["a"].path("certificate-authority") == tmp_path / "ca.crt"
    write_edit(config, Edit({"b": config.clusters["a"], "same": config.clusters["a"]}))
    again = load_kubeconfig((first, second))
    assert again.clusters["b"].body == {"certificate-authority": str(tmp_path / "ca.crt")}
    assert again.clusters["same"].body == {"certificate-authority": "ca.crt"}


def test_a_new_file_is_private_and_its_directory_is_made(tmp_path):
    config = load_kubeconfig((tmp_path / "new" / "config",))
    write_edit(config, Edit(current_context="x"))
    assert yaml.safe_load((tmp_path / "new" / "config").read_text())["current-context"] == "x"
    assert stat.S_IMODE((tmp_path / "new" / "config").stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path):
    path = written(tmp_path / "real", document("a"))
    (tmp_path / "link").symlink_to(path)
    write_edit(load_kubeconfig((tmp_path / "link",)), Edit(current_context="a"))
    assert (tmp_path / "link").is_symlink()
    assert yaml.safe_load(path.read_text())["current-context"] == "a"


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self, on_sleep=lambda: None) -> None:
        self.time, self.on_sleep = 0.0, on_sleep

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.on_sleep()


def test_an_edit_waits_for_the_one_before(tmp_path):
    path = written(tmp_path / "config", document("a"))
    lock = tmp_path / "config.lock"
    lock.touch()
    clock = Clock(on_sleep=lambda: lock.unlink(missing_ok=True))
    write_edit(load_kubeconfig((path,)), Edit(current_context="a"), now=clock.now, sleep=clock.sleep)
    assert yaml.safe_load(path.read_text())["current-context"] == "a"
    assert not lock.exists()


def test_a_lock_that_nobody_gives_back_is_told_and_left(tmp_path):
    path = written(tmp_path / "config", document("a"))
    lock = tmp_path / "config.lock"
    lock.touch()
    clock = Clock()
    with pytest.raises(KubeconfigError, match=r"is locked; if nobody edits it, remove .*config\.lock"):
        write_edit(load_kubeconfig((path,)), Edit(current_context="a"), now=clock.now, sleep=clock.sleep)
    assert lock.exists()
    assert "current-context" not in yaml.safe_load(path.read_text())


def test_what_the_system_refuses_is_told(tmp_path):
    (tmp_path / "directory").mkdir()
    with pytest.raises(KubeconfigError, match="cannot be read"):
        load_kubeconfig((tmp_path / "directory",))
    (tmp_path / "file").touch()
    with pytest.raises(KubeconfigError, match="cannot be made"):
        write_edit(load_kubeconfig((tmp_path / "none",)), Edit({"x": Entry({}, tmp_path / "file" / "below")}))
