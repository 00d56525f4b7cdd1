"""Receive nudges: an HTTP endpoint that checks the signature (Standard Webhooks 1.0) and answers 204.

    python examples/webhook_receiver.py PORT SECRET

SECRET is the ``whsec_…`` that the service showed when the endpoint was made. The body says nothing of the person: an app
wakes up and asks the service what it is about.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

MOST_SECONDS_OLD = 300


def is_signed(secret: str, headers: "dict[str, str]", body: bytes, now: float) -> bool:
    """Whether one of the signatures is right and the message is fresh."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp, message_id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not stamp.isdigit() or abs(now - int(stamp)) > MOST_SECONDS_OLD:
        return False
    signed = f"{message_id}.{stamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(wanted, given) for given in headers.get("webhook-signature", "").split())


class Receiver(BaseHTTPRequestHandler):
    """One POST a nudge; the same ``webhook-id`` may come twice and means one thing."""

    secret = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        good = is_signed(self.secret, headers, body, time.time())
        self.send_response(204 if good else 401)
        self.end_headers()
        if good:
            print("nudge", json.loads(body)["nudge_id"], flush=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


if __name__ == "__main__":
    Receiver.secret = sys.argv[2]
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
