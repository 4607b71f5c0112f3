#!/bin/sh
# Makes the secrets of a new set-up, as lines for .env:  sh deploy/secrets.sh >> .env
#
# The callback's token and key belong into WeChat's console as well. The API key is what stands between the colons.
set -eu

# As many random characters of A-Za-z0-9. A kilobyte has about 240 of them.
characters() {
    head -c 1024 /dev/urandom | LC_ALL=C tr -dc A-Za-z0-9 | cut -c "1-$1"
}

echo "WXQR_CALLBACK_TOKEN=$(characters 32)"
echo "WXQR_ENCODING_AES_KEY=$(characters 43)"
echo "WXQR_API_KEYS=admin:$(characters 32):admin"
