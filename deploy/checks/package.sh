#!/bin/sh
# The Debian package, from its making to its purge:  sh deploy/checks/package.sh PATH/TO/wxqr
#
# Makes the package of the binary as it is, and once more with a higher version. In a new Debian 12,
# a folder here, it does what docs/install.md and docs/operating.md say: install, first code against
# `wxqr sandbox`, doctor, backup, restore, upgrade, remove, purge. systemd does not run there, so
# the unit's command is started as the unit says: with its user, folder, settings and credentials.
#
# Needs root, binutils, cargo-deb, curl, debootstrap, dpkg-dev, jq, python3, and a Debian 12 among
# apt's sources, whose mirror is used.
set -eu
binary=$(realpath "$1")
cd "$(dirname "$0")/../.."

fail() {
    echo "package.sh: $1" >&2
    exit 1
}

for tool in chroot curl debootstrap dpkg-deb dpkg-shlibdeps jq python3 setpriv strip; do
    command -v "$tool" > /dev/null || fail "$tool is not installed"
done
cargo deb --version > /dev/null || fail "cargo-deb is not installed"
[ "$(id -u)" = 0 ] || fail "only root can do this"
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Label: Debian' | sort -u | head -1)
[ -n "$mirror" ] || fail "apt has no source of Debian 12 with its lists: apt-get update"

scratch=$(mktemp -d)
root=$scratch/debian
service=
sandbox=
cleanup() {
    for process in $service $sandbox; do
        kill "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    umount "$root/proc" 2> /dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

echo "package: making it"
# cargo-deb takes the binary from where a release build would have put it.
mkdir -p "$scratch/target/release"
strip -o "$scratch/target/release/wxqr" "$binary"
for version in 1.0-1 1.1-1; do
    CARGO_TARGET_DIR="$scratch/target" cargo deb --no-build --no-strip --fast --quiet --deb-version "$version" \
        --output "$scratch/wxqr_$version.deb"
done
dpkg-deb --field "$scratch/wxqr_1.0-1.deb" Package Version Depends
dpkg-deb --field "$scratch/wxqr_1.0-1.deb" Depends | grep -q libc6 || fail "the package does not depend on libc6"
for script in postinst prerm postrm; do
    dpkg-deb --info "$scratch/wxqr_1.0-1.deb" "$script" | sh -n
done

echo "package: a new Debian"
proxy=$(apt-config shell proxy Acquire::http::Proxy)
eval "$proxy"
export http_proxy="${proxy:-${http_proxy:-}}"
for try in 1 2 3; do
    debootstrap --variant=minbase bookworm "$root" "$mirror" > "$scratch/debootstrap.log" 2>&1 && break
    tail -3 "$scratch/debootstrap.log" >&2
    [ "$try" != 3 ] || fail "debootstrap fails"
    rm -rf "$root"
done
mount -t proc proc "$root/proc"
cp "$scratch"/*.deb "$root/var/backups"
inside() { chroot "$root" env -i DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

unit=$root/usr/lib/systemd/system/wxqr.service
secrets=$root/etc/wxqr/secrets
data=$root/var/lib/private/wxqr
# As good as any that systemd would choose for DynamicUser.
user=61234
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
wechat_port=$(free_port)
here=http://127.0.0.1:$port
wechat=http://127.0.0.1:$wechat_port

wait_for() {
    for _ in $(seq 150); do
        curl --silent --fail --output /dev/null "$1" && return
        sleep 0.2
    done
    cat "$scratch"/*.log >&2
    fail "nothing answers at $1"
}

# All values of a directive of the unit.
directive() { sed -n "s/^$1=//p" "$unit"; }

start() {
    # The folder of DynamicUser with StateDirectory. systemd lets its user pass through the closed
    # folder above it.
    mkdir -p "$data"
    chmod 755 "$root/var/lib/private"
    chown "$user:$user" "$data"
    ln -sfn private/wxqr "$root/var/lib/wxqr"
    credentials=/run/credentials/wxqr.service
    rm -rf "${root:?}$credentials"
    install -d -o "$user" -m 500 "$root$credentials"
    directive LoadCredential | while IFS=: read -r name path; do
        install -o "$user" -m 400 "$root$path" "$root$credentials/$name"
    done
    directive Environment | sed "s|%d|$credentials|" > "$scratch/settings"
    grep '^WXQR_' "$root/etc/wxqr/wxqr.env" >> "$scratch/settings"
    # shellcheck disable=SC2046,SC2016 # a word for each setting; the inner shell expands its arguments
    chroot "$root" env -i $(cat "$scratch/settings") /bin/sh -euc 'umask "$1" && cd /var/lib/wxqr && shift && exec "$@"' sh \
        "$(directive UMask)" setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all \
        $(directive ExecStart) 2>> "$scratch/service.log" &
    service=$!
    wait_for "$here/readyz"
}

stop() {
    kill "$service"
    wait "$service" || fail "the service ends with $?"
    service=
}

creates() { curl --silent --fail "$wechat/sandbox/calls" | jq .counts.create; }

door() {
    curl --silent --fail --header "Authorization: Bearer $key" --json '{"scene_str": "door", "permanent": true}' \
        "$here/api/codes" | jq --exit-status --raw-output .ticket
}

sums() { find "$@" -type f -exec sha256sum {} + | sort; }

echo "package: install"
inside apt-get install --yes --quiet /var/backups/wxqr_1.0-1.deb > "$scratch/said" 2>&1
key=$(grep -x 'wxqr_[A-Za-z0-9]*' "$scratch/said") || fail "the installation does not show the API key"
if grep -q "$key" -r "$root/etc/wxqr"; then
    fail "the API key is in the settings"
fi
grep -q 'the AppSecret in /etc/wxqr/secrets/app_secret' "$scratch/said" || fail "the installation does not say what is missing"
[ "$(stat --format '%a %U' "$secrets/person_key")" = "600 root" ] || fail "the secrets are not root's alone"
# The pages refer to one another, and to the files of deploy/.
(
    cd "$root/usr/share/doc/wxqr/docs"
    find . -name '*.md' | while IFS= read -r page; do
        grep -o ']([^)#:]*[)#]' "$page" | sed 's/^](//; s/[)#]$//' | grep . | while IFS= read -r link; do
            [ -e "$(dirname "$page")/$link" ] || fail "$page: no $link in the package"
        done || exit 1
    done
)
documentation=$(directive Documentation)
[ -e "$root${documentation#file://}" ] || fail "the unit's documentation is not there"

echo "package: first code"
echo 0123456789abcdef > "$secrets/app_secret"
sed -i 's|^WXQR_APP_ID=$|WXQR_APP_ID=wx0123456789abcdef|' "$root/etc/wxqr/wxqr.env"
cat >> "$root/etc/wxqr/wxqr.env" <<END
WXQR_API_BASE=$wechat
WXQR_MP_BASE=$wechat
WXQR_LISTEN=127.0.0.1:$port
WXQR_METRICS_LISTEN=
END
chroot "$root" env -i /usr/bin/wxqr sandbox --listen "127.0.0.1:$wechat_port" --account wx0123456789abcdef:0123456789abcdef \
    > "$scratch/sandbox.log" 2>&1 &
sandbox=$!
wait_for "$wechat/sandbox/calls"
start
ticket=$(door)
[ "$(creates)" = 1 ] || fail "the first code is not one call"
[ "$(stat --format '%u %a' "$data/wxqr.db")" = "$user 600" ] || fail "the database is not the service's alone"

echo "package: doctor and backup, by with-settings.sh"
# What an editor and a careful operator leave there is no secret of the unit.
cp "$secrets/api_keys" "$secrets/api_keys~"
mkdir "$secrets/old"
inside sh /usr/share/wxqr/with-settings.sh wxqr doctor
inside sh /usr/share/wxqr/with-settings.sh wxqr backup /var/backups/wxqr.db
inside sh /usr/share/wxqr/with-settings.sh wxqr backup copy.db
[ -e "$data/copy.db" ] || fail "a relative name is not in the folder of the database"
rm "$data/copy.db" "$secrets/api_keys~"
rmdir "$secrets/old"
# As `systemctl edit` adds a secret.
added=$root/etc/systemd/system/wxqr.service.d
mkdir -p "$added"
cat > "$added/override.conf" <<END
[Service]
LoadCredential=link_keys:/var/backups/link_keys
Environment=WXQR_LINK_KEYS_FILE=%d/link_keys
END
echo 0123456789 > "$root/var/backups/link_keys"
inside sh /usr/share/wxqr/with-settings.sh wxqr config | grep -q '^WXQR_LINK_KEYS  *file' || fail "an added secret is not read"
rm -r "$added"
stop

echo "package: restore"
calls=$(creates)
inside sh -euc 'cd /var/lib/private/wxqr && mkdir -m 700 /var/backups/wxqr-before && mv wxqr.db* /var/backups/wxqr-before && cp /var/backups/wxqr.db wxqr.db && chown --reference=. wxqr.db'
start
[ "$(door)" = "$ticket" ] || fail "the restored database has another code"
stop

echo "package: upgrade"
sums "$root/etc/wxqr" > "$scratch/before"
inside apt-get install --yes --quiet /var/backups/wxqr_1.1-1.deb > "$scratch/said"
inside dpkg-query --show wxqr | grep -q '1\.1-1$' || fail "it is not upgraded"
sums "$root/etc/wxqr" | cmp - "$scratch/before" || fail "the upgrade changes settings or secrets"
start
[ "$(door)" = "$ticket" ] || fail "the new version has another code"
[ "$(creates)" = "$calls" ] || fail "the code was created again"
stop

echo "package: remove"
sums "$root/etc/wxqr" "$data" > "$scratch/before"
inside apt-get remove --yes --quiet wxqr > "$scratch/said"
[ ! -e "$root/usr/bin/wxqr" ] || fail "the program is still there"
sums "$root/etc/wxqr" "$data" | cmp - "$scratch/before" || fail "removing changes settings, secrets or data"

echo "package: purge"
sums "$data" "$secrets/person_key" > "$scratch/before"
inside apt-get purge --yes --quiet wxqr > "$scratch/said"
grep '^wxqr: ' "$scratch/said"
grep -q '^wxqr: removing the settings and the secrets' "$scratch/said" || fail "the purge does not say what it removes"
grep -q '^wxqr: keeping the database in /var/lib/private/wxqr' "$scratch/said" || fail "the purge does not say what it keeps"
sums "$data" "$root/etc/wxqr" | cmp - "$scratch/before" || fail "the purge does not keep the database and its key alone"
# What it says removes the rest.
rest=$(sed -n 's/^wxqr: \(rm -r .*\)/\1/p' "$scratch/said")
inside sh -euc "$rest"
if [ -e "$data" ] || [ -e "$secrets" ]; then
    fail "something is left after: $rest"
fi

echo "package: purge of a set-up without a file, and of one that was never started"
inside apt-get install --yes --quiet /var/backups/wxqr_1.1-1.deb > "$scratch/said"
mkdir -p "$data"
inside apt-get purge --yes --quiet wxqr > "$scratch/said"
[ "$(ls "$secrets")" = person_key ] || fail "the key of a database on a server is not kept"
rm -r "$data"
inside apt-get install --yes --quiet /var/backups/wxqr_1.1-1.deb > "$scratch/said"
inside apt-get purge --yes --quiet wxqr > "$scratch/said"
[ ! -e "$root/etc/wxqr" ] || fail "the purge leaves something of a set-up that was never started"
echo "package: all is well"
