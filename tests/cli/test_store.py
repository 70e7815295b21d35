"""A copy that cannot be read is no copy."""

from __future__ import annotations


def test_a_backup_is_a_store_of_its_own(small):
    run = small.json("run")["run"]
    report = small.json("store", "backup", "copy")["report"]
    assert report["blobs"] >= 0
    place = small.folder / "copy"
    there = {"TIDEMILL_STORE": f"sqlite:///{place}/store.db", "TIDEMILL_ARTIFACTS": f"{place}/artifacts"}
    assert small("runs", "--json", **there).lines[0]["run"]["id"] == run
    assert "TIDEMILL_STORE=" in small("store", "backup", "copy2").out


def test_a_portable_backup_is_restored_into_another_database(small):
    run = small.json("run")["run"]
    small("store", "backup", "copy", "--portable")
    (file,) = [path for path in (small.folder / "copy").iterdir() if path.is_file()]
    url = f"sqlite:///{small.folder}/other.db"
    assert small.json("store", "restore", str(file), url)["records"] > 0
    assert small("runs", "--json", TIDEMILL_STORE=url).lines[0]["run"]["id"] == run
    small("store", "restore", str(file), url, expect=7)  # it is not empty any more


def test_a_store_of_today_needs_no_upgrade(small):
    small("run")
    line = small.json("store", "upgrade")
    assert line["from"] == line["to"]
    assert "already" in small("store", "upgrade").out
