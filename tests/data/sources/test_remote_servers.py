"""Web and FTP servers as they are met: redirects, tags weak and strong, refusals, certificates, broken answers."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from tidemill.core.errors import ConfigError, DataError, NotFoundError
from tidemill.data.read import resolve_source, scan_source
from tidemill.testing import remote_contract
from tidemill.testing.remote_contract import Place

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it stands on asyncore
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

CSV = b"x\n1\n2\n"


class Web(BaseHTTPRequestHandler):
    """What `site` says of each path: (status, headers, body)."""

    site: dict
    asked: list

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.asked.append((self.command, path))
        status, headers, body = self.site.get(path, (404, {}, b"not here"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET


@pytest.fixture
def web():
    handler = type("Here", (Web,), {"site": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield SimpleNamespace(site=handler.site, asked=handler.asked, url=url, server=server)
        server.shutdown()
        thread.join()


def values(root: Path, uri: str, **options) -> list[int]:
    raw = {"uri": uri, "storage_options": options}
    return scan_source(resolve_source("s", root=root, sources={"s": raw}), root=root).collect()["x"].to_list()


def test_a_redirect_leads_to_the_file(tmp_path, web):
    web.site["/old.csv"] = (302, {"Location": "/new.csv"}, b"")
    web.site["/new.csv"] = (200, {}, CSV)
    assert values(tmp_path, f"{web.url}/old.csv") == [1, 2]


@pytest.mark.parametrize(("tag", "fetched"), [('"v1"', 1), ('W/"v1"', 2), (None, 2)])
def test_only_a_strong_tag_saves_a_download(tmp_path, web, tag, fetched):
    """A weak one may stay the same when bytes change."""
    headers = {} if tag is None else {"ETag": tag}
    web.site["/f.csv"] = (200, headers, CSV)
    assert values(tmp_path, f"{web.url}/f.csv") == [1, 2]
    first = len([item for item in web.asked if item[0] == "GET"])
    assert values(tmp_path, f"{web.url}/f.csv") == [1, 2]
    again = len([item for item in web.asked if item[0] == "GET"])
    assert (again > first) is (fetched == 2)
    web.site["/f.csv"] = (200, {"ETag": '"v2"'}, b"x\n7\n")
    assert values(tmp_path, f"{web.url}/f.csv") == [7]


def test_an_answer_that_breaks_off_is_an_error_and_leaves_nothing(tmp_path, web):
    web.site["/f.csv"] = (200, {"Content-Length": "1000"}, CSV)
    with pytest.raises(DataError, match=r"f\.csv cannot be fetched: "):
        values(tmp_path, f"{web.url}/f.csv")
    assert not [path for path in (tmp_path / ".tidemill" / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (404, NotFoundError, "there is no file"),
        (410, NotFoundError, "there is no file"),
        (403, DataError, r"the server answers 403 .*Check who you are"),
        (500, DataError, "the server answers 500"),
    ],
)
def test_a_refusal_is_said_and_its_page_is_no_data(tmp_path, web, monkeypatch, status, kind, message):
    monkeypatch.setenv("WEB_TOKEN", "hunter2hunter2")
    web.site["/f.csv"] = (status, {}, b"x\nhtml\n")
    with pytest.raises(kind, match=message) as caught:
        values(tmp_path, f"{web.url}/f.csv?token=${{env:WEB_TOKEN}}", headers={"Authorization": "${env:WEB_TOKEN}"})
    assert "hunter2" not in str(caught.value)


def test_a_page_that_is_compressed_on_the_way_is_the_file(tmp_path, web):
    import gzip

    web.site["/f.csv"] = (
        200,
        {"Content-Encoding": "gzip", "Content-Length": str(len(gzip.compress(CSV)))},
        gzip.compress(CSV),
    )
    assert values(tmp_path, f"{web.url}/f.csv") == [1, 2]


def test_a_certificate_is_checked_against_the_authorities_of_the_machine(tmp_path, web):
    """What nobody vouches for is refused; an authority of the company's own comes by SSL_CERT_FILE."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    web.server.handle_error = lambda *_: None  # the client that hangs up
    web.site["/f.csv"] = (200, {}, CSV)
    url = web.url.replace("http", "https") + "/f.csv"
    code = (
        "from pathlib import Path; from tidemill.data.read import resolve_source;"
        f"print(resolve_source({url!r}, root=Path({str(tmp_path)!r}), sources={{}}).bytes)"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    done = [
        subprocess.run([sys.executable, "-c", code], env=bare | extra, capture_output=True, text=True, check=False)
        for extra in ({}, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    ]
    assert "certificate verify failed" in done[0].stderr
    assert "DataError" in done[0].stderr
    assert done[1].stdout.strip() == "6", done[1].stderr[-2000:]


def test_options_that_the_client_does_not_know_are_an_error_of_the_settings(tmp_path):
    with pytest.raises(ConfigError, match=r"webhdfs://h:1/f\.csv cannot be opened .*token"):
        values(tmp_path, "webhdfs://h:1/f.csv", token="t", user="ann")


@pytest.fixture
def ftp(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("ftp")
    users = DummyAuthorizer()
    users.add_user("ann", "hunter2hunter2", str(folder), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": users, "use_sendfile": False, "banner": "ready"})
    server = FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.05, "handle_exit": False})
    thread.start()
    monkeypatch.setenv("FTP_PASSWORD", "hunter2hunter2")
    yield folder, f"ftp://ann@127.0.0.1:{server.address[1]}"
    server.close_all()
    thread.join()


@pytest.mark.parametrize("check", remote_contract.CHECKS, ids=lambda check: check.__name__)
def test_ftp(tmp_path, ftp, check):
    folder, url = ftp

    def write(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    check(Place(url, {"password": "${env:FTP_PASSWORD}"}, write, vouches=False), tmp_path)


def test_a_wrong_password_is_refused_and_not_shown(tmp_path, ftp, monkeypatch):
    monkeypatch.setenv("FTP_PASSWORD", "swordfish-of-the-tests")
    with pytest.raises((DataError, ConfigError), match="530") as caught:
        values(tmp_path, f"{ftp[1]}/f.csv", password="${env:FTP_PASSWORD}")
    assert "swordfish" not in str(caught.value)
