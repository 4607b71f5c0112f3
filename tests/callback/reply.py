"""Reads replies with wechatpy, an implementation of WeChat's side that is not ours.

    reply.py   reads one JSON object a line (token, encoding_aes_key, app_id, body), and writes one for each

Exit code 3: wechatpy is not installed.
"""

import json
import sys

NOT_INSTALLED = 3

try:
    import xmltodict
    from wechatpy.crypto import WeChatCrypto
except ImportError:
    sys.exit(NOT_INSTALLED)


def fields(text):
    """The fields of XML, or of JSON."""
    if text.startswith("<"):
        return xmltodict.parse(text, strip_whitespace=False)["xml"]
    return json.loads(text)


def opened(reply):
    """The message in a reply, and whether it was encrypted. Raises when signature or AppID are wrong."""
    envelope = fields(reply["body"])
    if "Encrypt" not in envelope:
        return {"encrypted": False, "message": envelope}
    crypto = WeChatCrypto(reply["token"], reply["encoding_aes_key"], reply["app_id"])
    message = crypto.decrypt_message(
        envelope, envelope["MsgSignature"], str(envelope["TimeStamp"]), envelope["Nonce"]
    )
    return {"encrypted": True, "message": fields(message)}


for line in sys.stdin:
    print(json.dumps(opened(json.loads(line))))
