#!/usr/bin/env python3
"""Signs a link to wxqr. README.md beside this file has the rules.

    LINK_KEY=... python3 sign.py scene_id=123 expire_seconds=3600 exp=1924963200

prints what stands behind the question mark of the link.
"""

from __future__ import annotations

import base64
import hmac
import os
import sys
from urllib.parse import quote, urlencode

# What a signature covers, in the order in which it is signed.
COVERED = ["exp", "expire_seconds", "permanent", "scene_id", "scene_str"]


def encode(params: dict[str, str]) -> str:
    """Everything but A-Za-z0-9-._~ as %HH; a space is %20, not +."""
    return urlencode(params, quote_via=quote, safe="")


def sign(key: str, params: dict[str, str]) -> str:
    """The query string with its signature."""
    covered = {name: params[name] for name in COVERED if name in params}
    canonical = "/qrcode\n" + encode(covered)
    digest = hmac.digest(key.encode(), canonical.encode(), "sha256")
    sig = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return encode({**params, "sig": sig})


if __name__ == "__main__":
    if not os.environ.get("LINK_KEY"):
        sys.exit("LINK_KEY is not set")
    given = dict(arg.split("=", 1) for arg in sys.argv[1:])
    print(sign(os.environ["LINK_KEY"], given))
