"""The commit of a run is read from git's files, whatever shape the checkout has; its files are kept, no secret is."""

from __future__ import annotations

from tidemill.engine import provenance
from tidemill.engine.provenance import commit, sources

SHA = "3f9a12bc77d04e5f6a7b8c9d0e1f2a3b4c5d6e7f"


def test_the_commit_of_a_branch(tmp_path):
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit(tmp_path) == ""  # nothing is committed yet
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(f"{SHA}\n")
    (tmp_path / "project").mkdir()
    assert commit(tmp_path / "project") == SHA


def test_the_commit_of_a_packed_branch_and_of_a_detached_head(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "packed-refs").write_text(f"# pack-refs\n{'0' * 40} refs/heads/other\n{SHA} refs/heads/main\n")
    assert commit(tmp_path) == SHA
    (tmp_path / ".git" / "HEAD").write_text("1" * 40 + "\n")
    assert commit(tmp_path) == "1" * 40


def test_the_commit_of_a_second_work_tree(tmp_path):
    data = tmp_path / "main" / ".git" / "worktrees" / "second"
    data.mkdir(parents=True)
    (data / "HEAD").write_text("ref: refs/heads/side\n")
    (data / "commondir").write_text("../..\n")
    (tmp_path / "main" / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "main" / ".git" / "refs" / "heads" / "side").write_text(f"{SHA}\n")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / ".git").write_text(f"gitdir: {data}\n")
    assert commit(tmp_path / "second") == SHA


def test_a_run_keeps_what_its_code_is_told_and_no_secret(tmp_path):
    kept = ("contract.toml", "pipeline.py", "secrets.py", "tidemill.toml", "late.sql", "limits.yaml", "words.txt")
    kept += ("ports.json", "prices.yml")
    secret = (".secrets.toml", "secrets.toml", "token.json", "Passwords.txt", "client_secret.json", ".env.json")
    for name in (*kept, *secret, "orders.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "robot.json").write_text('{"private_key": "abc"}')
    (tmp_path / "rows.json").write_text("[" + "1, " * 30_000 + "1]")
    assert sources(tmp_path) == {name: name for name in kept}


def test_code_is_kept_before_what_it_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_MOST_BYTES", 150)
    for name in ("a.json", "b.txt", "pipeline.py"):
        (tmp_path / name).write_text("x" * 60)
    assert list(sources(tmp_path)) == ["pipeline.py", "a.json"]
