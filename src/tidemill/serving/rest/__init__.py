"""The REST face: plain ASGI, one module for each kind of request; `app.App` is the application."""
