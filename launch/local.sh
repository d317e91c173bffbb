#!/usr/bin/env bash
# One machine, all its devices: launch/local.sh configs/synctalkface_grid.py:cpu runs/a [--config.a.b=v ...]
set -euo pipefail
config=$1 workdir=$2
shift 2
# The detector and the training share a GPU badly; take memory as needed on small cards:
#   export XLA_PYTHON_CLIENT_PREALLOCATE=false
exec talkjax train --config "$config" --workdir "$workdir" "$@"
