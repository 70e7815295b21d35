"""A polite HTTP client for one API: it signs in, keeps to a rate, tries again where that may help, shows no secret."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tidemill.core.clock import elapsed
from tidemill.core.errors import ConfigError, DataError, MissingExtraError
from tidemill.data.sources.shown import shown
from tidemill.integrations import http_patience

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "rest", purpose="reading a REST API") from error

_ABSENT = frozenset({404, 410})
_RETRIES, _TIMEOUT = 5, 30.0
_EXCERPT = 100
_AUTH = {
    "bearer": {"token"},
    "basic": {"user", "password"},
    "key": {"name", "value"},
    "oauth2": {"token_url", "client_id", "client_secret"},
}
_OPTIONAL = {"key": {"place"}, "oauth2": {"scope"}}


class Client:
    """Gets JSON from one API.

    Parameters
    ----------
    source
        The name of the source, for messages.
    address
        The URL of the resource; nothing is ever asked of another host than its own.
    options
        The source's options with their secrets revealed.
    """

    def __init__(self, source: str, address: str, options: Mapping[str, Any]) -> None:
        self.source = source
        self.address = address
        self._body = _body(source, options)
        self._params = frozenset(options.get("params", {}))
        self._auth = dict(options.get("auth", {}))
        _check_auth(source, self._auth)
        self._host = httpx.URL(address).netloc
        self._retries = options.get("retries", _RETRIES)
        rate = options.get("rate_limit")
        self._gap = 0.0 if not rate else 1.0 / rate
        self._next = 0.0
        self._turn = threading.Lock()
        self._token: str | None = None
        self._http = httpx.Client(timeout=options.get("timeout", _TIMEOUT), headers=dict(options.get("headers", {})))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, url: str, parameters: Mapping[str, Any]) -> tuple[Any, httpx.Response]:
        """The JSON of an answer, and the answer.

        Parameters
        ----------
        url
            Of a page.
        parameters
            What to ask for: in the URL, or, where the option ``method`` is ``"POST"``, in its JSON body, all but the
            option ``params``.

        Raises
        ------
        DataError
            If the API refuses, keeps failing, answers something else than JSON, or points to another host.
        """
        found = self.find(url, parameters, absent=frozenset())
        assert found is not None
        return found

    def find(
        self, url: str, parameters: Mapping[str, Any], *, absent: frozenset[int] = _ABSENT
    ) -> tuple[Any, httpx.Response] | None:
        """Like `ask`; None where the API says that there is no such thing."""
        target = httpx.URL(url)
        if target.netloc != self._host:
            raise self.error("points to another host", url, "Secrets are sent to the declared host only: declare it.")
        if self._body is None:
            response = self._answer(target.copy_merge_params(_as_text(parameters)), None, absent)
        else:
            fixed = {name: value for name, value in parameters.items() if name in self._params}
            asked = {name: value for name, value in parameters.items() if name not in self._params}
            response = self._answer(target.copy_merge_params(_as_text(fixed)), {**self._body, **asked}, absent)
        if response.status_code in absent:
            return None
        try:
            return response.json(parse_constant=_no_number), response
        except FloatingPointError as error:
            hint = "Ask whoever runs it to write null for what is missing."
            raise self.error(f"answered {error}, which no JSON has", response.request.url, hint) from None
        except ValueError:
            what = f"answered no JSON but {response.headers.get('content-type', 'something')}: {_excerpt(response)}"
            hint = f"The status was {response.status_code}: check uri, resource and auth."
            raise self.error(what, response.request.url, hint) from None

    def error(self, what: str, url: object, hint: str) -> DataError:
        """An error that names the source and the URL without its secrets."""
        return DataError(shown(f"the API of source {self.source!r} {what}"), value=shown(str(url)), hint=hint)

    def _answer(self, url: httpx.URL, body: Mapping[str, Any] | None, absent: frozenset[int]) -> httpx.Response:
        renewed = False

        def ask() -> tuple[str, httpx.Response | None]:
            nonlocal renewed
            method = "GET" if body is None else "POST"
            said, response = self._try(method, url, body=body)
            if response is not None and response.status_code == 401 and self._token is not None and not renewed:
                self._token, renewed = None, True
                return self._try(method, url, body=body)
            return said, response

        ending = http_patience.patiently(
            ask, retries=self._retries, accepts=lambda answer: answer.is_success or answer.status_code in absent
        )
        response: httpx.Response = ending.response
        if ending.is_answer:
            return response
        what = f"answered {ending.said}{ending.after}{_saying(ending.response)}"
        hint = "Check uri, resource, params and auth." if ending.refused else "Run again later, or raise retries."
        raise self.error(what, url, hint)

    def _try(
        self,
        method: str,
        url: httpx.URL,
        form: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[str, httpx.Response | None]:
        """What happened, and the answer if there was one."""
        self._keep_to_the_rate()
        try:
            if form is not None:
                response = self._http.request(method, url, data=form)
            else:
                headers, parameters, basic = self._signature()
                request = self._http.build_request(
                    method, url.copy_merge_params(parameters), headers=headers, json=body
                )
                response = self._http.send(request, auth=basic)
        except httpx.TransportError as error:
            return f"nothing ({type(error).__name__})", None
        return f"{response.status_code} {response.reason_phrase}".strip(), response

    def _keep_to_the_rate(self) -> None:
        with self._turn:  # several threads may ask
            http_patience.wait(self._next - elapsed())
            self._next = elapsed() + self._gap

    def _signature(self) -> tuple[dict[str, str], dict[str, str], Any]:
        auth, kind = self._auth, self._auth.get("kind")
        if kind == "basic":
            return {}, {}, httpx.BasicAuth(auth["user"], auth["password"])
        if kind == "key":
            pair = {auth["name"]: auth["value"]}
            return ({}, pair, None) if auth.get("place") == "query" else (pair, {}, None)
        token = auth["token"] if kind == "bearer" else self._oauth_token() if kind == "oauth2" else None
        return ({} if token is None else {"Authorization": f"Bearer {token}"}), {}, None

    def _oauth_token(self) -> str:
        if self._token is not None:
            return self._token
        names = ("client_id", "client_secret", "scope")
        form = {"grant_type": "client_credentials", **{name: self._auth[name] for name in names if name in self._auth}}
        said, response = self._try("POST", httpx.URL(self._auth["token_url"]), form)
        token = None
        if response is not None and response.is_success:
            try:
                token = response.json().get("access_token")
            except (ValueError, AttributeError):
                said = "no token"
        if not isinstance(token, str):
            raise self.error(f"gave no token: {said}", self._auth["token_url"], "Check the client's id and secret.")
        self._token = token
        return token


def _body(source: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body of a request that is a POST; None of one that is not."""
    method = options.get("method", "GET")
    if method not in ("GET", "POST"):
        raise ConfigError(f"[sources.{source}] method must be GET or POST", value=method, hint="Nothing else reads.")
    if method == "GET" and "body" in options:
        raise ConfigError(f"[sources.{source}] has a body, which GET does not send", hint='Set method = "POST".')
    return dict(options.get("body", {})) if method == "POST" else None


def _no_number(name: str) -> None:
    """NaN and Infinity are not JSON, though Python writes them: as text or as null they would be guessed."""
    raise FloatingPointError(name)


def _as_text(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as a URL has them: true is ``true``."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in parameters.items()}


def _excerpt(response: httpx.Response) -> str:
    return repr(" ".join(response.text[:400].split())[:_EXCERPT])


def _saying(response: httpx.Response | None) -> str:
    """What an answer that is no success says."""
    return f", saying {_excerpt(response)}" if response is not None and response.text.strip() else ""


def _check_auth(source: str, auth: Mapping[str, Any]) -> None:
    if not auth:
        return
    kind = auth.get("kind")
    needed = _AUTH.get(str(kind))
    if needed is None:
        raise ConfigError(
            f"[sources.{source}] auth has an unknown kind", value=kind, hint=f"Use one of {', '.join(sorted(_AUTH))}."
        )
    given = set(auth) - {"kind"}
    if not needed <= given or given - needed - _OPTIONAL.get(str(kind), set()):
        raise ConfigError(
            f"[sources.{source}] auth of kind {kind!r} needs other keys",
            value=sorted(given),
            hint=f"It takes: {', '.join(sorted(needed))}.",
        )
