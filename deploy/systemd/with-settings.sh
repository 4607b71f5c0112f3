#!/bin/sh
# Runs a command as wxqr.service would, with its settings and secrets, in the folder of its database:
#     sudo sh with-settings.sh wxqr doctor
set -eu

while IFS= read -r line; do
    case $line in
    WXQR_*=*) export "${line?}" ;;
    esac
done < /etc/wxqr/wxqr.env

for file in /etc/wxqr/secrets/*; do
    name=$(basename "$file" | tr "[:lower:]" "[:upper:]")
    export "WXQR_${name}_FILE=$file"
done

cd /var/lib/wxqr
exec "$@"
