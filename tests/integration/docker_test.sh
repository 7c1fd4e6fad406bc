#!/bin/sh
# Brings up the compose file: a coordinator and four clients in containers train
# the run file to its end. Exit code 77, skipped, where no Docker engine answers.
set -eu
cd "$(dirname "$0")/../.."
docker info >/dev/null 2>&1 || { echo "skipped: no Docker engine answers"; exit 77; }
command -v docker-compose >/dev/null || { echo "skipped: there is no docker-compose"; exit 77; }
sh docker/base-image.sh
docker build -q -f docker/Dockerfile -t parley .
compose="docker-compose -p parleytest -f docker/compose.yaml"
trap '$compose down -v >/dev/null 2>&1' EXIT
export CLIENTS=4
$compose up -d --scale client=4
coordinator=$($compose ps -q coordinator)
code=$(timeout 120 docker wait "$coordinator")
docker logs "$coordinator" 2>&1 | tail -n 20
echo "the coordinator ended with exit code $code"
[ "$code" = 0 ]
# All four counted in the last round.
docker run --rm -v parleytest_runs:/data parley tail -n 1 /data/run/metrics.jsonl |
  python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["counted"]); sys.exit(len(r["counted"]) != 4)'
