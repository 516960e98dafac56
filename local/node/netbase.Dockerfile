# What kube-proxy, the pod network and the volume helper share: a shell and the kernel's network tools.
ARG BASE
FROM ${BASE} AS assembled
RUN apt-get update \
 && apt-get install -y --no-install-recommends conntrack iproute2 iptables kmod nftables \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* \
      /usr/share/perl* /usr/lib/*/perl* /usr/bin/perl*
# One layer: containerd inside a container cannot write the marks of deleted files.
FROM scratch
COPY --from=assembled / /
