#!/bin/sh
# The unit of systemd:  sh deploy/checks/systemd.sh PATH/TO/wxqr
#
# systemd-analyze reads the unit without a word, and rates what the service may still do at 1.5 at
# most, of 10. The service takes the settings of the unit and of its settings file.
set -eu
binary=$(realpath "$1")
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The program is elsewhere here than where it will be.
sed "s|^ExecStart=/usr/bin/wxqr |ExecStart=$binary |" deploy/systemd/wxqr.service > "$scratch/wxqr.service"
said=$(systemd-analyze verify "$scratch/wxqr.service" 2>&1)
if [ -n "$said" ]; then
    echo "$said" >&2
    exit 1
fi
if ! systemd-analyze security --offline=true --threshold=15 --no-pager "$scratch/wxqr.service" > "$scratch/rating"; then
    cat "$scratch/rating" >&2
    exit 1
fi
tail -1 "$scratch/rating"

# `config` reads the settings as `serve` does, and fails on a name or a value that is wrong.
sh deploy/secrets.sh "$scratch/secrets"
echo secret > "$scratch/secrets/app_secret"
(
    cd "$scratch"
    grep '^WXQR_' "$OLDPWD/deploy/systemd/wxqr.env" | sed 's|APP_ID=$|APP_ID=wx0123456789abcdef|' > settings
    sed -n "s|^Environment=\(WXQR_.*\)=%d/|\1=$scratch/secrets/|p" "$OLDPWD/deploy/systemd/wxqr.service" >> settings
    # shellcheck disable=SC2046 # a word for each setting
    env -i $(cat settings) "$binary" config | grep '^WXQR_PERSON_KEY .*file' > /dev/null
)
