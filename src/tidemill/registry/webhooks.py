"""Tell webhooks what is in the outbox: at least once, with the same id at every attempt, later again when it fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tidemill.core.clock import elapsed, lease_now
from tidemill.core.errors import ConfigError
from tidemill.core.records import Delivery
from tidemill.project.secrets import redact, reveal
from tidemill.registry.posting import post, signature
from tidemill.registry.rules import Webhook
from tidemill.store import Store, outbox

#: Seconds before the second attempt; each further one waits twice as long, an hour at most.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 3600.0
#: Seconds beyond the timeout of a request for which nobody else takes its delivery.
_GRACE = 30.0
#: Delivered events are kept for a month, to be looked at.
_KEPT = 30 * 24 * 60 * 60.0


def deliver(
    store: Store,
    webhooks: Sequence[Webhook],
    *,
    root: Path,
    limit: int = 1000,
    seconds: float | None = None,
    timeout: float | None = None,
) -> list[Delivery]:
    """Post what is due.

    Any number of processes may do so at once: each delivery is claimed by one. A process that dies after a request and
    before it noted the answer leaves a delivery that is posted again, with the same ``webhook-id``.

    Parameters
    ----------
    store
        Whose outbox.
    webhooks
        The project's.
    root
        Where relative ``${file:…}`` paths count from.
    limit, seconds
        How many requests at most, and for how long to begin new ones.
    timeout
        Seconds for one request, where the webhook allows more.

    Returns
    -------
    list of Delivery
        Every attempt, as it is in the store now.
    """
    known = {webhook.name: webhook for webhook in webhooks}
    longest = max((webhook.timeout for webhook in webhooks), default=0.0)
    started, attempts = elapsed(), list[Delivery]()
    while len(attempts) < limit and (seconds is None or elapsed() - started < seconds):
        now = lease_now()
        with store.metadata.transaction() as tx:
            found = outbox.claim(tx, now=_us(now), until=_us(now + longest + _GRACE))
        if found is None:
            break
        attempts.append(_attempted(store, found, known.get(found.webhook), root, timeout))
    if attempts:
        with store.metadata.transaction() as tx:
            outbox.forget(tx, before=_us(lease_now() - _KEPT))
    return attempts


def request_of(delivery: Delivery, webhook: Webhook, root: Path, moment: float) -> tuple[str, bytes, dict[str, str]]:
    """URL, body and headers of an attempt.

    Raises
    ------
    ConfigError
        When a secret cannot be read.
    """
    body = json.dumps({"id": delivery.event_id, **delivery.payload}, separators=(",", ":"), allow_nan=False).encode()
    headers = {
        "User-Agent": "tidemill",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(moment)),
    }
    if webhook.secret:
        secret = reveal(webhook.secret, root=root)
        if not secret:
            raise ConfigError(f"the secret of the webhook {webhook.name!r} is empty", hint="Set it.")
        headers["webhook-signature"] = signature(secret, delivery.event_id, int(moment), body)
    return reveal(webhook.url, root=root), body, headers


def _attempted(
    store: Store, delivery: Delivery, webhook: Webhook | None, root: Path, timeout: float | None
) -> Delivery:
    if webhook is None:
        settled = replace(delivery, status="dead", error="tidemill.toml names no webhook of this name any more")
    else:
        settled = _told(delivery, webhook, root, timeout)
    with store.metadata.transaction() as tx:
        outbox.settle(tx, settled)
    return settled


def _told(delivery: Delivery, webhook: Webhook, root: Path, timeout: float | None) -> Delivery:
    try:
        url, body, headers = request_of(delivery, webhook, root, lease_now())
    except ConfigError as error:
        return _failed(delivery, webhook, str(error), None)
    allowed = webhook.timeout if timeout is None else min(timeout, webhook.timeout)
    answer = post(url, body, headers, timeout=allowed)
    if not answer.error:
        return replace(delivery, status="delivered", error="", delivered_at=_us(lease_now()))
    return _failed(delivery, webhook, answer.error, answer.retry_after)


def _failed(delivery: Delivery, webhook: Webhook, error: str, retry_after: float | None) -> Delivery:
    shown = redact(error)[:500]
    if delivery.attempts >= webhook.attempts:
        return replace(delivery, status="dead", error=shown)
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (delivery.attempts - 1))
    pause = pause if retry_after is None else max(pause, retry_after)
    return replace(delivery, error=shown, next_at=_us(lease_now() + pause))


def _us(moment: float) -> int:
    return round(moment * 1e6)
