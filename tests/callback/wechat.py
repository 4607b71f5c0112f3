"""WeChat's side of the callback, written from its documents: signs and encrypts pushes, for the tests to open.

    wechat.py BACKEND vectors   writes vectors.json to standard output
    wechat.py BACKEND seal      reads one JSON object a line, and writes one for each

BACKEND is `cryptography`, the package of that name, or `openssl`, the program. Exit code 3: it is not installed.
"""

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import sys

NOT_INSTALLED = 3


def encrypt_by_package(key, vector, plain):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def encrypt_by_program(key, vector, plain):
    command = ["openssl", "enc", "-aes-256-cbc", "-nopad", "-K", key.hex(), "-iv", vector.hex()]
    return subprocess.run(command, input=plain, stdout=subprocess.PIPE, check=True).stdout


def backend(name):
    if name == "cryptography":
        try:
            import cryptography  # noqa: F401
        except ImportError:
            sys.exit(NOT_INSTALLED)
        return encrypt_by_package
    if shutil.which("openssl") is None:
        sys.exit(NOT_INSTALLED)
    return encrypt_by_program


def signature(*parts):
    return hashlib.sha1(b"".join(sorted(part.encode() for part in parts))).hexdigest()


def seal(push, encrypt):
    """What WeChat adds to a message. `random` is 16 bytes in hex."""
    key = base64.b64decode(push["encoding_aes_key"] + "=")
    message = push["message"].encode()
    plain = bytes.fromhex(push["random"]) + struct.pack(">I", len(message)) + message
    plain += push["app_id"].encode()
    pad = 32 - len(plain) % 32
    plain += bytes([pad]) * pad
    sealed = base64.b64encode(encrypt(key, key[:16], plain)).decode()
    stamp = push["token"], push["timestamp"], push["nonce"]
    return {
        "pad": pad,
        "encrypt": sealed,
        "signature": signature(*stamp),
        "msg_signature": signature(*stamp, sealed),
    }


def cdata(text):
    return "<![CDATA[" + text + "]]>"


def as_xml(fields):
    texts = (
        "<%s>%s</%s>" % (name, value if isinstance(value, int) else cdata(value), name)
        for name, value in fields.items()
    )
    return "<xml>" + "\n".join(texts) + "\n</xml>"


def as_json(fields):
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


ACCOUNT = "gh_0123456789ab"
TICKET = "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw=="

# Name, fields of the event, what is to be read from it: kind, scene, whether there is a ticket.
EVENTS = [
    ("follow", {"Event": "subscribe", "EventKey": "qrscene_123", "Ticket": TICKET}, ["subscribe", "123", True]),
    ("scan", {"Event": "SCAN", "EventKey": "展会 A+1 <&> 🎪", "Ticket": TICKET}, ["scan", "展会 A+1 <&> 🎪", True]),
    ("leave", {"Event": "unsubscribe", "EventKey": ""}, ["unsubscribe", None, False]),
    ("payment", {"Event": "subscribe", "EventKey": "last_trade_no_4200001"}, ["subscribe", None, False]),
    ("message", {"MsgType": "text", "Content": "你好 ]] > 👋", "MsgId": 6054768590064713728}, None),
]

# The last character leaves two bits over, which are 0 to 3 here.
KEYS = ["abcdefghijklmnopqrstuvwxyz0123456789ABCDEF" + last for last in "AFWf"]

# To the bytes of a message, so many are added to reach a pad.
PADS = [1, 16, 17, 31, 32]


def padded(render, fields, app_id, pad):
    """The message with a field of the right length that nobody reads."""
    for length in range(1, 33):
        message = render({**fields, "Padding": "p" * length})
        if (16 + 4 + len(message.encode()) + len(app_id) + pad) % 32 == 0:
            return message
    raise AssertionError


def vectors(encrypt):
    made = []
    for index, ((name, event, want), pad) in enumerate(zip(EVENTS, PADS)):
        for form, render in (("xml", as_xml), ("json", as_json)):
            app_id = "wx0123456789abcdef"
            fields = {
                "ToUserName": ACCOUNT,
                "FromUserName": "o6_bmjrPTlm6_2sgVt7hMZOPfL2%d" % index,
                "CreateTime": 1700000000 + index,
                "MsgType": "event",
                **event,
            }
            push = {
                "name": name + " in " + form,
                "token": "Token%d" % index,
                "encoding_aes_key": KEYS[index % len(KEYS)],
                "app_id": app_id,
                "timestamp": str(1700000010 + index),
                "nonce": str(1320562132 + 977 * index),
                "random": hashlib.md5((name + form).encode()).hexdigest(),
                "message": padded(render, fields, app_id, pad),
                "openid": fields["FromUserName"],
                "created_at": fields["CreateTime"],
                "want": want,
            }
            sealed = seal(push, encrypt)
            assert sealed["pad"] == pad, sealed["pad"]
            body = render({"ToUserName": ACCOUNT, "Encrypt": sealed["encrypt"]})
            made.append({**push, **sealed, "body": body})
    return made


def main():
    encrypt = backend(sys.argv[1])
    if sys.argv[2] == "vectors":
        print(json.dumps(vectors(encrypt), ensure_ascii=False, indent=1))
        return
    for line in sys.stdin:
        print(json.dumps(seal(json.loads(line), encrypt)))


if __name__ == "__main__":
    main()
