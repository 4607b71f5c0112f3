#!/bin/sh
# Makes the secrets of a new set-up, as lines for .env:  sh deploy/secrets.sh >> .env
# or as files that only their owner can read:  sh deploy/secrets.sh /etc/wxqr/secrets
#
# Once, before the first start: lines of a second run would replace the secrets in use; files that exist are kept. The
# callback's token and key belong into WeChat's console as well. The API key is what stands between the colons; `wxqr key` makes
# more, with entries that hold only their hashes. The person key is to be kept as long as the database.
set -u

# As many random characters of a set. Eight kilobytes have about 1900 of A-Za-z0-9, and 500 of 0-9a-f.
characters() {
    head -c 8192 /dev/urandom | LC_ALL=C tr -dc "$2" | cut -c "1-$1"
}

token=$(characters 32 A-Za-z0-9)
aes_key=$(characters 43 A-Za-z0-9)
api_key=$(characters 32 A-Za-z0-9)
person_key=$(characters 64 0-9a-f)

if [ "${#token} ${#aes_key} ${#api_key} ${#person_key}" != "32 43 32 64" ]; then
    echo "secrets.sh: no secrets were made: it needs head, tr, cut and /dev/urandom" >&2
    exit 1
fi

if [ $# -eq 0 ]; then
    echo "WXQR_CALLBACK_TOKEN=$token"
    echo "WXQR_ENCODING_AES_KEY=$aes_key"
    echo "WXQR_API_KEYS=admin:$api_key:admin"
    echo "WXQR_PERSON_KEY=$person_key"
    exit
fi

umask 077
mkdir -p "$1" || exit 1
keep_or_write() {
    [ -e "$1" ] || echo "$2" > "$1" || exit 1
}
keep_or_write "$1/callback_token" "$token"
keep_or_write "$1/encoding_aes_key" "$aes_key"
keep_or_write "$1/api_keys" "admin:$api_key:admin"
keep_or_write "$1/person_key" "$person_key"
