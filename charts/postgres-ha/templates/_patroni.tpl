{{/*
Patroni's configuration in two parts, both in one ConfigMap. The part below is kept by Patroni in its own store
(the ConfigMap <fullname>-config) from the first start on; only the second part is read at each start, so only
that one restarts the members when it changes.
*/}}
{{- define "postgres-ha.patroniBootstrap" -}}
{{- $wal := include "postgres-ha.walMebibytes" . | int -}}
bootstrap:
  dcs:
    ttl: {{ .Values.failover.ttl }}
    loop_wait: {{ .Values.failover.loopWait }}
    retry_timeout: {{ .Values.failover.retryTimeout }}
    maximum_lag_on_failover: {{ .Values.failover.maximumLagBytes | int64 }}
    check_timeline: true
    # Keep the primary through an outage of the Kubernetes API, as long as it reaches every member itself.
    failsafe_mode: true
    # After a crash the lock goes to a replica, if one is fit, instead of waiting for the recovery.
    primary_start_timeout: 0
    # A stop that hangs is cut short; no acknowledged commit is lost, since a replica has it.
    primary_stop_timeout: 30
    # Also with one member, so that adding a second is all it takes.
    synchronous_mode: quorum
    synchronous_node_count: 1
    synchronous_mode_strict: {{ eq .Values.durability "required" }}
    # How long the log is kept for a member that is away.
    member_slots_ttl: 30min
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: {{ .Values.postgresql.maxConnections }}
        wal_keep_size: {{ min 512 (div $wal 8) }}MB
  initdb:
    - data-checksums
    - encoding: UTF8
    # The collation is Postgres's own: a new C library cannot reorder an index.
    - locale-provider: builtin
    - builtin-locale: C.UTF-8
    - locale: C.UTF-8
    - auth-local: peer
    - auth-host: scram-sha-256
    {{- if .Values.storage.wal.enabled }}
    - waldir: /pgwal/17
    {{- end }}
  post_bootstrap: postgres-ha-post-bootstrap
{{- end -}}

{{- define "postgres-ha.patroniLocal" -}}
{{- $memory := include "postgres-ha.mebibytes" .Values.resources.limits.memory | int -}}
{{- $wal := include "postgres-ha.walMebibytes" . | int -}}
{{- /*
postgresql.parameters beats these. The timeout of replication bounds how long a replica that is gone without a word
holds commits; the keepalives, how long such a client holds locks. The image has no just-in-time compiler.
*/ -}}
{{- $parameters := dict
  "shared_buffers" (printf "%dMB" (div $memory 4))
  "effective_cache_size" (printf "%dMB" (div $memory 2))
  "maintenance_work_mem" (printf "%dMB" (min 512 (max 16 (div $memory 16))))
  "max_wal_size" (printf "%dMB" (min 1024 (div $wal 4)))
  "max_slot_wal_keep_size" (printf "%dMB" (div $wal 2))
  "wal_sender_timeout" "15s"
  "wal_receiver_timeout" "15s"
  "tcp_keepalives_idle" 30
  "tcp_keepalives_interval" 10
  "tcp_keepalives_count" 3
  "hot_standby_feedback" "on"
  "jit" "off"
  "log_line_prefix" "%m [%p] %q%u@%d "
  "log_lock_waits" "on"
  "password_encryption" "scram-sha-256"
  "unix_socket_directories" "/run/postgresql"
-}}
scope: {{ include "postgres-ha.fullname" . }}
kubernetes:
  use_endpoints: false
  labels:
    {{- include "postgres-ha.selectorLabels" . | nindent 4 }}
  scope_label: cluster-name
  role_label: role
  leader_label_value: primary
  follower_label_value: replica
  standby_leader_label_value: standby-leader
restapi:
  listen: 0.0.0.0:8008
watchdog:
  mode: "off" # pods have none: the liveness probe takes its place
postgresql:
  listen: 0.0.0.0:5432
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /pgdata/17
  pgpass: /tmp/pgpass
  use_unix_socket: true
  authentication:
    # No password: the superuser comes in through the socket, from inside the pod, and no other way.
    superuser:
      username: postgres
    replication:
      username: replicator
    rewind:
      username: rewind
  # A replica that cannot follow any more is copied anew, without anyone asking.
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  basebackup:
    - checkpoint: fast
    {{- if .Values.storage.wal.enabled }}
    - waldir: /pgwal/17
    {{- end }}
  callbacks:
    on_role_change: postgres-ha-on-role-change
  pg_hba:
    - local all postgres peer
    - local all all scram-sha-256
    - local replication replicator scram-sha-256
    - host all postgres all reject
    - host replication replicator all scram-sha-256
    - host postgres rewind all scram-sha-256
    - host all replicator,rewind all reject
    - host all all all scram-sha-256
  parameters:
    {{- mergeOverwrite $parameters .Values.postgresql.parameters | toYaml | nindent 4 }}
{{- end -}}

{{/* Room for the write-ahead log, in MiB: its own volume, or the data's. */}}
{{- define "postgres-ha.walMebibytes" -}}
{{- with .Values.storage -}}
{{- include "postgres-ha.mebibytes" (ternary .wal.size .size .wal.enabled) -}}
{{- end -}}
{{- end -}}
