#!/bin/sh
# Signs a link to wxqr. README.md beside this file has the rules.
#
#     LINK_KEY=... sh sign.sh scene_id=123 expire_seconds=3600 exp=1924963200
#
# prints what stands behind the question mark of the link. Any POSIX shell, with openssl, which is
# given the key as an argument: on a machine with other users, take one of the other programs.
set -eu
export LC_ALL=C # bytes, and of the letters only those of ASCII
: "${LINK_KEY:?is not set}"

# Everything but A-Za-z0-9-._~ as %HH.
escape() {
  rest=$1
  while [ -n "$rest" ]; do
    byte=${rest%"${rest#?}"}
    rest=${rest#?}
    case $byte in
      [A-Za-z0-9._~-]) printf %s "$byte" ;;
      *) printf %s "$byte" | od -An -t x1 | tr ' a-f' '%A-F' | tr -d '\n' ;;
    esac
  done
}

# The query so far, and behind it one more name=value.
append() {
  printf '%s%s=%s' "${1:+$1&}" "$(escape "${2%%=*}")" "$(escape "${2#*=}")"
}

# What a signature covers, in the order in which it is signed.
covered=
for name in exp expire_seconds permanent scene_id scene_str; do
  for param in "$@"; do
    case $param in
      "$name="*) covered=$(append "$covered" "$param") ;;
    esac
  done
done

sig=$(printf '/qrcode\n%s' "$covered" |
  openssl dgst -sha256 -hmac "$LINK_KEY" -binary |
  openssl base64 -A | tr '+/' '-_' | tr -d '=')

query=
for param in "$@"; do
  query=$(append "$query" "$param")
done
printf '%s&sig=%s\n' "$query" "$sig"
