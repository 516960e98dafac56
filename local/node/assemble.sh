#!/bin/bash
# Run inside the node image's build: turns a Debian system into what kind expects of a node.
set -euo pipefail

chmod 0755 /usr/local/bin/* /usr/bin/kube* /kind /kind/bin /kind/bin/*
chmod 0644 /etc/systemd/system/*.service /etc/systemd/system/*.slice /etc/crictl.yaml

# systemd starts containerd and the kubelet, and otherwise leaves the machine below it alone.
find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
  /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl*
echo "ReadKMsg=no" >> /etc/systemd/journald.conf
ln -sf /lib/systemd/systemd /sbin/init
systemctl enable containerd.service kubelet.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service

mkdir -p /opt/cni /etc/kubernetes/manifests
ln -s /usr/lib/cni /opt/cni/bin
ln -sf /usr/bin/containerd /usr/local/bin/containerd

# A node may not lower its own OOM score without CAP_SYS_RESOURCE. The pause image is the one that kubeadm names.
sed -i -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' \
  -e "s#sandbox_image = .*#sandbox_image = \"$PAUSE_IMAGE\"#" /etc/containerd/config.toml
grep -q 'restrict_oom_score_adj = true' /etc/containerd/config.toml

# kind mounts product_uuid into pods by a hook; the limits of the build must not become the pods' limits.
ctr oci spec \
  | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
  > /etc/containerd/cri-base.json

echo "$KUBERNETES_VERSION" > /kind/version
