"""The HTTP transport under alpaca-py, imported with it: requests with a timeout."""

from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter


class TimeoutAdapter(HTTPAdapter):
    """An adapter that gives every request a timeout to connect and one to answer, in seconds."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        self._timeout = timeout
        super().__init__(max_retries=0)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send with the timeout, unless the caller brought one."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        return super().send(request, *args, **kwargs)
