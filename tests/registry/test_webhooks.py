"""Whoever is told of a promotion acts on it: no event may be lost, told before it is true, or told by a stranger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from webhook_receiver import Receiver, close, drip, hang, reply, until

from tidemill.core.clock import lease_now
from tidemill.core.errors import GateError
from tidemill.core.records import Delivery, ModelVersion
from tidemill.design.requirements import Requirement
from tidemill.registry import promote_version
from tidemill.registry.approval import approve_version
from tidemill.registry.editing import set_stage
from tidemill.registry.history import model_history
from tidemill.registry.posting import Answer, post, signature
from tidemill.registry.rules import Rules, Webhook
from tidemill.registry.webhooks import deliver
from tidemill.store import Store, outbox

Make = Callable[..., ModelVersion]
ALL_DUE = round((lease_now() + 10 * 365 * 86400) * 1e6)


def rules(receiver: Receiver, **options: object) -> Rules:
    return Rules(webhooks=(Webhook("ops", f"{receiver.url}/hook?a=1", **options),))  # type: ignore[arg-type]


def deliveries(store: Store) -> list[Delivery]:
    with store.metadata.reading() as tx:
        return outbox.list_deliveries(tx)


def make_due(store: Store) -> None:
    """Let everything that waits be tried now, its attempts kept."""
    with store.metadata.transaction() as tx:
        while (found := outbox.claim(tx, now=ALL_DUE, until=ALL_DUE + 1)) is not None:
            outbox.settle(tx, replace(found, next_at=0))
            if found.next_at == ALL_DUE + 1:
                break


def test_an_event_is_posted_signed_and_marked(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret-of-the-hook")
    asked = rules(receiver, secret="${env:HOOK_SECRET}")
    made = version(actor="ann", subscribers=asked.webhooks)
    promote_version(store, made, rules=asked, actor="bob")
    told = deliver(store, asked.webhooks, root=tmp_path)
    assert [(one.event, one.status, one.attempts) for one in told] == [
        ("version.registered", "delivered", 1),
        ("alias.moved", "delivered", 1),
    ]
    path, headers, body = receiver.requests[1]
    said = json.loads(body)
    assert path == "/hook?a=1"
    assert headers["content-type"] == "application/json"
    assert said["type"] == "alias.moved"
    assert said["data"]["details"]["to"] == 1
    assert (said["data"]["model"], said["data"]["alias"], said["data"]["actor"]) == ("flight-delay", "champion", "bob")
    assert said["id"] == headers["webhook-id"] == model_history(store, "flight-delay")[0].id
    expected = signature("s3cret-of-the-hook", headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected
    assert deliver(store, asked.webhooks, root=tmp_path) == []
    assert "s3cret" not in repr(deliveries(store))


def test_only_what_is_asked_for_is_told(store: Store, version: Make, receiver: Receiver, tmp_path: Path) -> None:
    asked = rules(receiver, events=("version.archived", "approval.given"))
    other = rules(receiver, models=("another",))
    made = version(actor="ann", subscribers=asked.webhooks)
    version(subscribers=other.webhooks)
    approve_version(store, made, rules=asked, actor="bob")
    set_stage(store, made, "staging", rules=asked)
    set_stage(store, made, "archived", rules=asked)
    assert [one.event for one in deliveries(store)] == ["version.archived", "approval.given"]


def test_what_is_refused_is_not_told(store: Store, version: Make, receiver: Receiver) -> None:
    asked = rules(receiver)
    made = version()
    strict = [Requirement("ranking", "", "roc_auc", at_least=0.99, checked=("test",))]
    with pytest.raises(GateError):
        promote_version(store, made, requirements=strict, rules=asked)
    assert deliveries(store) == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda handler: reply(handler, 500), "answered 500"),
        (lambda handler: reply(handler, 404), "answered 404"),
        (close, "RemoteDisconnected"),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "BadStatusLine"),
    ],
)
def test_a_failure_is_tried_again_later_with_the_same_id(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path, answer: Callable[..., None], error: str
) -> None:
    asked = rules(receiver)
    version(subscribers=asked.webhooks)
    receiver.answer = answer
    before = lease_now()
    (first,) = deliver(store, asked.webhooks, root=tmp_path)
    assert first.status == "waiting"
    assert error in first.error
    assert first.next_at >= (before + 9) * 1e6
    assert deliver(store, asked.webhooks, root=tmp_path) == []
    make_due(store)
    receiver.answer = lambda handler: reply(handler, 200)
    (second,) = deliver(store, asked.webhooks, root=tmp_path)
    assert (second.status, second.error) == ("delivered", "")
    ids = {headers["webhook-id"] for _, headers, _ in receiver.requests}
    assert len(receiver.requests) == 2
    assert ids == {first.event_id}


def test_a_redirect_is_not_followed(store: Store, version: Make, receiver: Receiver, tmp_path: Path) -> None:
    asked = rules(receiver)
    version(subscribers=asked.webhooks)
    receiver.answer = lambda handler: reply(handler, 302, Location=f"{receiver.url}/elsewhere")
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert "a redirect, which is not followed" in told.error
    assert [path for path, *_ in receiver.requests] == ["/hook?a=1"]


@pytest.mark.parametrize(("text", "least"), [("120", 120), ("Fri, 31 Dec 2999 23:59:59 GMT", 86_000), ("soon", 9)])
def test_a_receiver_may_ask_for_patience(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path, text: str, least: float
) -> None:
    asked = rules(receiver)
    version(subscribers=asked.webhooks)
    receiver.answer = lambda handler: reply(handler, 503, Retry_After=text)
    before = lease_now()
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert before + least <= told.next_at / 1e6 <= lease_now() + 86_400


@pytest.mark.parametrize("how", [hang, drip])
def test_a_receiver_that_holds_the_line_is_left(receiver: Receiver, how: Callable[..., Callable[..., None]]) -> None:
    receiver.answer = how(receiver)
    assert post(f"{receiver.url}/", b"{}", {}, timeout=0.3) == Answer(0, "no answer within 0.3 seconds")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http:///x", "http://no.invalid/"])
def test_a_receiver_that_is_not_there_is_an_answer_too(url: str) -> None:
    answer = post(url, b"{}", {}, timeout=5)
    assert answer.status == 0
    assert answer.error


def test_it_is_given_up_after_its_attempts_and_can_be_retried(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path
) -> None:
    asked = rules(receiver, attempts=2)
    version(subscribers=asked.webhooks)
    receiver.answer = lambda handler: reply(handler, 500)
    deliver(store, asked.webhooks, root=tmp_path)
    make_due(store)
    make_due(store)
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert told.status == "dead"
    assert deliver(store, asked.webhooks, root=tmp_path) == []
    receiver.answer = lambda handler: reply(handler, 200)
    with store.metadata.transaction() as tx:
        assert outbox.retry(tx, told.id, now=0)
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert (told.status, told.attempts) == ("delivered", 1)


def test_a_secret_that_is_not_there_and_a_webhook_that_is_gone_are_said(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path
) -> None:
    asked = rules(receiver, secret="${env:NOT_SET_ANYWHERE}")
    version(subscribers=asked.webhooks)
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert "NOT_SET_ANYWHERE is not set" in told.error
    make_due(store)
    (told,) = deliver(store, (), root=tmp_path)
    assert (told.status, receiver.requests) == ("dead", [])
    assert "names no webhook" in told.error


def test_a_secret_in_the_url_is_in_no_record(
    store: Store, version: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_HOST", "token-7f3a9c.invalid")
    hook = Webhook("ops", "http://${env:HOOK_HOST}/x\n")
    version(subscribers=[hook])
    (told,) = deliver(store, [hook], root=tmp_path)
    assert told.status == "waiting"
    assert "7f3a9c" not in repr(deliveries(store))


def test_many_senders_tell_each_event_once(store: Store, version: Make, receiver: Receiver, tmp_path: Path) -> None:
    asked = rules(receiver)
    for _ in range(12):
        version(subscribers=asked.webhooks)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: deliver(store, asked.webhooks, root=tmp_path), range(4)))
    assert sum(len(one) for one in told) == 12
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 12 == len(receiver.requests)


def test_a_sender_that_is_killed_between_telling_and_noting_tells_again(
    store: Store, version: Make, receiver: Receiver, tmp_path: Path
) -> None:
    asked = rules(receiver)
    version(subscribers=asked.webhooks)
    receiver.answer = hang(receiver)
    program = f"""
from pathlib import Path
from tidemill.registry.rules import Webhook
from tidemill.registry.webhooks import deliver
from tidemill.store import open_store
store = open_store("sqlite:///{tmp_path}/store.db", "{tmp_path}/artifacts")
deliver(store, [Webhook("ops", "{receiver.url}/hook")], root=Path("."))
"""
    sender = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: len(receiver.requests) == 1)
    finally:
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
    (left,) = deliveries(store)
    assert (left.status, left.attempts) == ("waiting", 1)
    assert deliver(store, asked.webhooks, root=tmp_path) == []  # it may still be on its way
    make_due(store)
    receiver.answer = lambda handler: reply(handler, 200)
    (told,) = deliver(store, asked.webhooks, root=tmp_path)
    assert told.status == "delivered"
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
