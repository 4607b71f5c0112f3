#!/bin/sh
# The unit of systemd and the Debian package's metadata:  sh deploy/checks/systemd.sh PATH/TO/wxqr
#
# systemd-analyze reads the unit without a word, and rates what the service may still do at 1.5 at most, of 10. The settings
# file and every path that the package takes are there. With cargo-deb installed the package is also made, of the binary as it
# is, and dpkg-deb reads it.
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

sed -n '/^assets = \[/,/^\]/s/.*source = "\([^"]*\)".*/\1/p' Cargo.toml | while IFS= read -r source; do
    case $source in
    target/*) continue ;;
    esac
    # shellcheck disable=SC2086 # a pattern
    ls $source > /dev/null
done

if cargo deb --version > /dev/null 2>&1; then
    # It takes the binary from where a release build would have put it.
    mkdir -p "$scratch/target/release"
    cp "$binary" "$scratch/target/release/wxqr"
    CARGO_TARGET_DIR="$scratch/target" cargo deb --no-build --no-strip --fast --quiet --output "$scratch/wxqr.deb"
    for file in ./usr/bin/wxqr ./usr/lib/systemd/system/wxqr.service ./etc/wxqr/wxqr.env ./usr/share/wxqr/secrets.sh; do
        dpkg-deb --contents "$scratch/wxqr.deb" | grep " $file\$" > /dev/null
    done
    for script in postinst prerm postrm; do
        dpkg-deb --info "$scratch/wxqr.deb" "$script" | sh -n
    done
    dpkg-deb --field "$scratch/wxqr.deb" Package Version Depends
else
    echo "cargo-deb is not installed: the package was not made"
fi
