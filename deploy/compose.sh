#!/usr/bin/env bash
# Runs Docker Compose for this repository with the settings that
# docker-compose.yml leaves open:
#
#   deploy/compose.sh up -d
#   deploy/compose.sh run --rm client get executors
#
# It takes `docker compose` where the plugin is there and docker-compose (1.27 or
# newer) where it is not, says plainly when no Docker engine answers, and chooses
# the containers' user so that token and data belong to whoever calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "deploy/compose.sh: $*" >&2
  exit 1
}

command -v docker >/dev/null || fail "no docker command found; install Docker (Debian: apt-get install docker.io docker-compose)"
# The engine's options, on one line; fails when nothing listens on the socket.
security=$(docker info --format '{{.SecurityOptions}}' 2>&1) ||
  fail "no Docker engine answers (is dockerd running, and may $(id -un) use it?): ${security##*$'\n'}"

if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  fail "neither 'docker compose' nor docker-compose is installed (Debian: apt-get install docker-compose)"
fi

# Who the containers run as. An ordinary user's containers run as that user, so
# the token may stay private and results can be deleted afterwards. In a rootless
# engine the container's root is that user. Root's containers get the image's
# own user; `make token` gives it the token and the lake.
if [[ -z ${SLUICE_USER:-} ]]; then
  if [[ $security == *rootless* ]]; then
    SLUICE_USER=0:0
  elif ((EUID != 0)); then
    SLUICE_USER=$(id -u):$(id -g)
  else
    SLUICE_USER=65532:65532
  fi
fi
export SLUICE_USER
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-sluice}

[[ -s .cluster/token ]] || fail "no token at .cluster/token; run 'make token'"
exec "${compose[@]}" "$@"
