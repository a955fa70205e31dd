"""A request read to its end before anything is done with it."""

from starlette.types import Message, Receive


async def arrived(receive: Receive) -> tuple[bytes, Receive]:
    """Return a request's body, and what gives the body out again and then goes on receiving.

    Of a sender who leaves in the middle, the body is what came.
    """
    body = bytearray()
    message = await receive()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body", False):
            message = {"type": "http.request", "body": bytes(body), "more_body": False}
            break
        message = await receive()
    pending = [message]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return bytes(body), again
