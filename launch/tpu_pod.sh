#!/usr/bin/env bash
# A TPU pod slice, the same command on every host:
#   TPU=name ZONE=zone launch/tpu_pod.sh configs/synctalkface_grid.py /mnt/shared/runs/a [...]
# TalkJAX and jax[tpu] must be installed on the hosts; data and workdir must be on a file system
# that all of them mount.
set -euo pipefail
: "${TPU:?name of the TPU VM}" "${ZONE:?its zone}"
config=$1 workdir=$2
shift 2
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command \
  "cd talkjax && talkjax train --config $config --workdir $workdir --multihost $*"
