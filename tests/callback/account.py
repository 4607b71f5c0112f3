"""The account's side of the callback, written from WeChat's documents: checks and opens what is pushed.

    account.py BACKEND open     reads one JSON object a line, and writes one for each

BACKEND is `cryptography`, the package of that name, or `openssl`, the program. Exit code 3: it is not installed.
"""

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree

NOT_INSTALLED = 3


def decrypt_by_package(key, vector, sealed):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(sealed) + decryptor.finalize()


def decrypt_by_program(key, vector, sealed):
    command = ["openssl", "enc", "-d", "-aes-256-cbc", "-nopad", "-K", key.hex(), "-iv", vector.hex()]
    return subprocess.run(command, input=sealed, stdout=subprocess.PIPE, check=True).stdout


def backend(name):
    if name == "cryptography":
        try:
            import cryptography  # noqa: F401
        except ImportError:
            sys.exit(NOT_INSTALLED)
        return decrypt_by_package
    if shutil.which("openssl") is None:
        sys.exit(NOT_INSTALLED)
    return decrypt_by_program


def signature(*parts):
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def read(document):
    """The format of a document, and its fields as texts."""
    if document.startswith("{"):
        return "json", {name: str(value) for name, value in json.loads(document).items()}
    root = xml.etree.ElementTree.fromstring(document)
    assert root.tag == "xml", root.tag
    return "xml", {child.tag: child.text or "" for child in root}


def unsealed(sealed, encoding_aes_key, app_id, decrypt):
    key = base64.b64decode(encoding_aes_key + "=")
    sealed = base64.b64decode(sealed, validate=True)
    assert len(sealed) % 32 == 0, len(sealed)
    plain = decrypt(key, key[:16], sealed)
    pad = plain[-1]
    assert 1 <= pad <= 32 and plain[-pad:] == bytes([pad]) * pad, pad
    content = plain[16:-pad]
    (length,) = struct.unpack(">I", content[:4])
    assert content[4 + length :] == app_id.encode(), content[4 + length :]
    return content[4 : 4 + length].decode()


def opened(push, decrypt):
    """Mode, format and fields of a push; an exception if anything is not as documented."""
    query = dict(urllib.parse.parse_qsl(push["query"], strict_parsing=True))
    stamp = push["token"], query["timestamp"], query["nonce"]
    assert query["signature"] == signature(*stamp), "signature"
    form, fields = read(push["body"])
    mode = "plain"
    if "Encrypt" in fields:
        assert query["encrypt_type"] == "aes"
        assert query["msg_signature"] == signature(*stamp, fields["Encrypt"]), "msg_signature"
        message = unsealed(fields.pop("Encrypt"), push["encoding_aes_key"], push["app_id"], decrypt)
        outside, (inside, within) = fields, read(message)
        assert inside == form, inside
        mode, fields = "compatible" if outside == within else "safe", within
        assert mode == "compatible" or list(outside) == ["ToUserName"], outside
        assert outside["ToUserName"] == fields["ToUserName"]
    else:
        assert "encrypt_type" not in query and "msg_signature" not in query
    assert query["openid"] == fields["FromUserName"]
    return {"mode": mode, "format": form, "fields": fields}


def main():
    decrypt = backend(sys.argv[1])
    assert sys.argv[2] == "open", sys.argv[2]
    for line in sys.stdin:
        print(json.dumps(opened(json.loads(line), decrypt)))


if __name__ == "__main__":
    main()
