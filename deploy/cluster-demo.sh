#!/usr/bin/env bash
# `make cluster-demo`: starts the compose cluster, generates the event data in it,
# submits the event job, shows its receipt and stops everything again, also when a
# step fails. Data and receipt stay in .cluster/lake for a look.
#
#   DEMO_ROWS, DEMO_FILES   size of the data set (2,000,000 rows in 200 files)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rows=${DEMO_ROWS:-2000000}
files=${DEMO_FILES:-200}
lake=.cluster/lake

# A project of its own on any free port: a cluster that `make up` started is
# neither in the way nor stopped at the end.
export COMPOSE_PROJECT_NAME=sluice-demo SLUICE_PORT=
compose=deploy/compose.sh
services=(coordinator executor-1 executor-2 executor-3)

say() { printf '\n== %s\n' "$*"; }

stop() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then
    say "failed (exit $status); the services' last words:"
    "$compose" logs --no-color --tail=40 || true
  fi
  say "stopping"
  "$compose" down -v --remove-orphans --timeout 10 || status=$((status ? status : 1))
  exit "$status"
}

# wait_healthy returns when every service passes its health check. Compose 1.29
# has no `up --wait`, so it asks the engine.
wait_healthy() {
  local deadline=$((SECONDS + 90)) service state
  for service in "${services[@]}"; do
    while :; do
      state=$(docker inspect --format '{{.State.Status}}/{{.State.Health.Status}}' "$("$compose" ps -q "$service")")
      [[ $state == running/healthy ]] && break
      if [[ $state == */unhealthy || $state == exited/* || $state == dead/* ]] || ((SECONDS > deadline)); then
        echo "cluster-demo: $service is $state after ${SECONDS} s" >&2
        return 1
      fi
      sleep 0.5
    done
    echo "$service is healthy"
  done
}

# The first call finds out whether an engine answers, before the trap would ask it to stop.
"$compose" ps >/dev/null
trap stop EXIT
trap 'exit 130' INT TERM

rm -rf "$lake/landing" "$lake/mart" "$lake/receipt.json"

say "starting one coordinator and three executors"
"$compose" up -d "${services[@]}"
wait_healthy

say "generating $rows rows in $files files"
"$compose" run --rm -T client gen events --out /lake/landing --rows "$rows" --files "$files" </dev/null

say "submitting deploy/job-events.yaml"
"$compose" run --rm -T client submit -f /jobs/job-events.yaml --token-file /run/secrets/token \
  --wait --receipt /lake/receipt.json </dev/null

say "the result is in $lake/mart, the receipt in $lake/receipt.json"
