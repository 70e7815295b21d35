"""Requests to an application in this process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tidemill.serving.rest.app import App


class Client:
    """Requests to an application in this process."""

    def __init__(self, app: App, root: Path) -> None:
        self.app, self.root = app, root

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def rows(self, *rows: Any, **more: Any) -> httpx.Response:
        return self("POST", "/v1/models/flight-delay/predict", content=json.dumps({"rows": rows, **more}))
