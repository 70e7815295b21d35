"""A server that says ready answers; one that cannot start says why."""

from __future__ import annotations

import json
import socket
import urllib.request


def test_it_says_when_it_is_ready_answers_and_ends_with_success(trained, tmp_path):
    process = trained.start("serve", "cells", "--port", "0", "--json", "--log", str(tmp_path / "log"))
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        assert "cells@champion" in ready["message"]
        with urllib.request.urlopen(f"{ready['url']}/v2/health/ready", timeout=10) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out) == {"status": "stopped"}


def test_a_taken_port_an_unknown_model_and_nothing_to_serve_are_explained(trained):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "Choose another port" in trained("serve", "cells", "--port", port, expect=2).err
    trained("serve", "cels", "--port", "0", expect=3)
    assert "say what to serve" in trained("serve", expect=2).err
