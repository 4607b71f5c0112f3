#!/bin/sh
# Runs a command as wxqr.service would, with its settings and secrets, in the folder of its
# database:
#     sudo sh with-settings.sh wxqr doctor
#     sudo sh with-settings.sh wxqr backup /var/backups/wxqr.db
set -eu

# The unit and what `systemctl edit` has added to it.
unit=/etc/systemd/system/wxqr.service
[ -e "$unit" ] || unit=/usr/lib/systemd/system/wxqr.service
lines=$(cat "$unit" /etc/systemd/system/wxqr.service.d/*.conf 2> /dev/null || [ -e "$unit" ])

# A secret is read where the unit loads it from.
while IFS= read -r line; do
    setting=$(printf '%s\n' "$line" | sed -n 's/^Environment="\{0,1\}\(WXQR_[^"]*\)"\{0,1\}$/\1/p')
    case $setting in
    *=%d/*)
        path=$(printf '%s\n' "$lines" | sed -n "s|^LoadCredential=${setting#*=%d/}:||p" | tail -n 1)
        setting=${setting%%=*}=$path
        ;;
    esac
    [ -z "$setting" ] || export "${setting?}"
done <<END
$lines
END

while IFS= read -r line; do
    case $line in
    WXQR_*=*) export "${line?}" ;;
    esac
done < /etc/wxqr/wxqr.env

cd /var/lib/wxqr
exec "$@"
