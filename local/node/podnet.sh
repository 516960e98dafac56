#!/bin/bash
# The pod network of the local cluster, one per node: gives the node's pods an address of its range, routes the
# ranges of the other nodes to them, and hands new connections to the network policy daemon. It repeats itself
# every few seconds, so a node that was restarted or joined late is put right without anybody's help.
# There is no masquerade: pods reach the cluster and nothing outside, which is what a local trial wants.
set -uo pipefail
: "${NODE_NAME:?}" "${POD_RANGE:?}" "${SERVICE_RANGE:?}" "${QUEUE:?}"

config=/host/etc/cni/net.d/10-podnet.conflist

write_config() { # the range of this node's pods
  local wanted
  wanted=$(cat << JSON
{"cniVersion": "0.4.0", "name": "podnet", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
            "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "$1"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  )
  [ "$(cat "$config" 2> /dev/null)" = "$wanted" ] && return
  printf '%s\n' "$wanted" > "$config.new" && mv "$config.new" "$config" && echo "pods of this node: $1"
}

# Addresses of pods and Services mean nothing outside, but before a pod has its route or kube-proxy its rules, packets
# to them follow the default route. Whoever answers there keeps the connection: the API server once spoke to a stranger
# for as long as it lived, and no namespace could be deleted, because the metrics API was not itself.
keep_inside() {
  local chain rule=(-o eth0 -d "$SERVICE_RANGE" -j REJECT)
  ip route replace unreachable "$POD_RANGE"
  for chain in OUTPUT FORWARD; do
    iptables -C "$chain" "${rule[@]}" 2> /dev/null || iptables -I "$chain" "${rule[@]}"
  done
}

# The policy daemon queues packets by nftables. Where the kernel's nftables cannot queue, iptables does it, with two
# exceptions. A node may always reach its own pods, or probes would fail. And DNS is not judged: resolvers send two
# questions from one socket, both are new connections while the first waits in the queue, the second is then dropped as
# a clash, and the caller waits 5 seconds for it.
# Without the daemon the packets pass: the queue is bypassed.
chain=PODNET
jump=(-d "$POD_RANGE" -m conntrack --ctstate NEW -j "$chain")
table=(inet kube-network-policies)

can_queue() { # all or nothing: a rule that fails leaves no table
  nft "add table inet podnet; add chain inet podnet trial; add rule inet podnet trial queue num $QUEUE" 2> /dev/null \
    && nft delete table inet podnet
}

# There the daemon tries again every second. Each failure takes a hook back, upon which the kernel drops whatever waits
# in a queue of the node: of 500 new connections one was a second late, and more while pods came and went. A table of
# that name which is somebody's own makes it fail before it has hooks. It lasts as long as the program that made it.
hold_table() {
  nft list table "${table[@]}" 2> /dev/null | grep -q owner && return
  { echo "add table ${table[*]} { flags owner; }" && exec sleep infinity; } | nft -i > /dev/null 2>&1 &
}

queue_new_connections() {
  if can_queue; then
    nft list table "${table[@]}" > /dev/null 2>&1 || return
    iptables -t mangle -D POSTROUTING "${jump[@]}" 2> /dev/null && echo "policies: nftables queues new connections"
    return
  fi
  hold_table
  if ! iptables -t mangle -C POSTROUTING "${jump[@]}" 2> /dev/null; then
    fill_chain && iptables -t mangle -A POSTROUTING "${jump[@]}" && echo "policies: iptables queues new connections"
  fi
}

fill_chain() { # at once: naming the chain empties it
  iptables-restore --noflush << RULES
*mangle
:$chain - [0:0]
-A $chain -m addrtype --src-type LOCAL -j RETURN
-A $chain -p udp --dport 53 -j RETURN
-A $chain -j NFQUEUE --queue-num $QUEUE --queue-bypass
COMMIT
RULES
}

trap 'exit 0' TERM INT
fill_chain
keep_inside
rounds=0
while true; do
  timeout 10 kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' \
    | while read -r name range address; do
        [ -n "$address" ] || continue
        if [ "$name" = "$NODE_NAME" ]; then
          write_config "$range"
        else
          ip route replace "$range" via "$address"
        fi
      done
  queue_new_connections
  # Every look costs a start of kubectl: often while nodes join, seldom later.
  rounds=$((rounds + 1))
  sleep $((rounds < 12 ? 5 : 30)) &
  wait $!
done
