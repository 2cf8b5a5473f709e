#!/bin/sh
# Refuses a start of the fleet with another store, or another choice of tokens, than its first.
# Jobs of the other store would answer 404; a server without a public key would let everybody in.
# Makes the secret of members and stewards, once.
set -eu

refuse() {
  echo "$1" >&2
  exit 2
}

[ -z "${PREFLIGHT_OUTDATED:-}" ] || refuse "STORE=$PREFLIGHT_OUTDATED is not read any more; accepted: docker/setup postgres"
now="store $PREFLIGHT_STORE, tokens $PREFLIGHT_TOKENS"
first=/state/choice
if [ ! -s "$first" ] || [ -n "${PREFLIGHT_CHANGE:-}" ]; then
  echo "$now" >"$first"
fi
read -r before <"$first"
[ "$now" = "$before" ] || refuse "this fleet began with $before and is now to run with $now. \
docker/setup chooses for every command in its folder (an exported COMPOSE_FILE and -f win over it). \
To change it on purpose: FLEET_CHANGE=yes docker compose up"

secret=/presence/secret
if [ ! -s "$secret" ]; then
  umask 077
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$secret.new"
  mv "$secret.new" "$secret"
fi
echo "$now"
