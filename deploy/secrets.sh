#!/bin/sh
# Makes the secrets of a new set-up, as lines for .env:  sh deploy/secrets.sh >> .env
# or as files that only their owner can read:  sh deploy/secrets.sh /etc/wxqr/secrets
#
# Once, before the first start: lines of a second run would replace the secrets in use; files that
# exist are kept. The callback's token and key belong into WeChat's console as well. The person key
# is to be kept as long as the database.
#
# The API key of the console is printed on standard error, and nowhere else: the settings have its
# hash. A second key, which can only read (`stats`), is there in full, because `wxqr doctor` sends it.
# `wxqr key` makes more.
set -u

# As many random characters of a set. Eight kilobytes have about 1900 of A-Za-z0-9, and 500 of
# 0-9a-f.
characters() {
    head -c 8192 /dev/urandom | LC_ALL=C tr -dc "$2" | cut -c "1-$1"
}

# macOS has the second one.
sha256() {
    { sha256sum 2> /dev/null || shasum -a 256 2> /dev/null; } | cut -c 1-64
}

token=$(characters 32 A-Za-z0-9)
aes_key=$(characters 43 A-Za-z0-9)
console_key=wxqr_$(characters 32 A-Za-z0-9)
console_hash=$(printf %s "$console_key" | sha256)
doctor_key=wxqr_$(characters 32 A-Za-z0-9)
person_key=$(characters 64 0-9a-f)

lengths="${#token} ${#aes_key} ${#console_key} ${#console_hash} ${#doctor_key} ${#person_key}"
if [ "$lengths" != "32 43 37 64 37 64" ]; then
    echo "secrets.sh: no secrets were made: it needs head, tr, cut, sha256sum or shasum, and /dev/urandom" >&2
    exit 1
fi

api_keys="admin:sha256:$console_hash:admin,doctor:$doctor_key:stats"
show_console_key() {
    echo "secrets.sh: the API key for the console, with all scopes. It is shown this once:" >&2
    echo "$console_key" >&2
}

if [ $# -eq 0 ]; then
    echo "WXQR_CALLBACK_TOKEN=$token"
    echo "WXQR_ENCODING_AES_KEY=$aes_key"
    echo "WXQR_API_KEYS=$api_keys"
    echo "WXQR_PERSON_KEY=$person_key"
    show_console_key
    exit
fi

umask 077
mkdir -p "$1" || exit 1
keep_or_write() {
    [ -e "$1" ] || echo "$2" > "$1" || exit 1
}
keep_or_write "$1/callback_token" "$token"
keep_or_write "$1/encoding_aes_key" "$aes_key"
keep_or_write "$1/person_key" "$person_key"
if [ ! -e "$1/api_keys" ]; then
    keep_or_write "$1/api_keys" "$api_keys"
    show_console_key
fi
