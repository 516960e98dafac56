#!/bin/bash
# Run inside a container of the node image: puts the system images into containerd's store, packed.
# Each node unpacks what it uses, which is faster than copying the unpacked files of all images to every node.
set -euo pipefail

containerd > /tmp/containerd.log 2>&1 &
daemon=$!
for _ in $(seq 150); do
  ctr version > /dev/null 2>&1 && break
  sleep 0.2
done
ctr version > /dev/null || { cat /tmp/containerd.log >&2; exit 1; }
ctr -n k8s.io images import --all-platforms --no-unpack --digests /images.tar > /dev/null
ctr -n k8s.io images list -q
kill "$daemon"
wait "$daemon" || true
rm -rf /run/containerd /tmp/containerd.log
