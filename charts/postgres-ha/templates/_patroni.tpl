{{/*
What Patroni keeps in its own store (the ConfigMap <fullname>-config), the same for all members. It is written at
the first start, and after that by the Job of `helm upgrade`: no member restarts because of it, unless Postgres
itself must. Patroni's own numbers of senders and slots, 10, do for most: others would restart every cluster that is
upgraded, and numbers that follow `members` would restart all members with each new one.
*/}}
{{- define "postgres-ha.dynamic" -}}
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
  "wal_keep_size" (printf "%dMB" (min 512 (div $wal 8)))
  "max_connections" .Values.postgresql.maxConnections
  "wal_sender_timeout" "15s"
  "wal_receiver_timeout" "15s"
  "wal_receiver_status_interval" "1s"
  "wal_retrieve_retry_interval" "1s"
  "tcp_keepalives_idle" 30
  "tcp_keepalives_interval" 10
  "tcp_keepalives_count" 3
  "hot_standby_feedback" "on"
  "jit" "off"
  "log_line_prefix" "%m [%p] %q%u@%d "
  "log_lock_waits" "on"
  "password_encryption" "scram-sha-256"
-}}
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
synchronous_mode: {{ ternary "off" "quorum" (eq .Values.durability "none") | quote }}
synchronous_node_count: 1
synchronous_mode_strict: {{ eq .Values.durability "required" }}
# How long the log is kept for a member that is away.
member_slots_ttl: 30min
# Patroni drops every slot that is not its own. Those of subscriptions, which need wal_level logical, it leaves alone.
ignore_slots:
  - type: logical
postgresql:
  use_pg_rewind: true
  use_slots: true
  parameters:
    {{- mergeOverwrite $parameters .Values.postgresql.parameters | toYaml | nindent 4 }}
  pg_hba:
    - local all postgres peer
    - local all monitor peer
    - host all postgres,monitor all reject
    - hostssl replication replicator,replicator_2,backup all scram-sha-256
    - hostssl postgres rewind,rewind_2 all scram-sha-256
    - host all replicator,replicator_2,rewind,rewind_2 all reject
    {{- range .Values.postgresql.hba }}
    - {{ . | quote }}
    {{- end }}
    - local all all scram-sha-256
    - {{ ternary "hostssl" "host" .Values.tls.required }} all all all scram-sha-256
{{- end -}}

{{/* Read on the first start only. */}}
{{- define "postgres-ha.patroniBootstrap" -}}
bootstrap:
  dcs:
    {{- include "postgres-ha.dynamic" . | nindent 4 }}
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

{{/* Read at each start: a change restarts the members, one by one. So no comment of it is rendered. */}}
{{- define "postgres-ha.patroniLocal" -}}
scope: {{ include "postgres-ha.fullname" . }}
kubernetes:
  use_endpoints: false
  labels:
    {{- include "postgres-ha.selectorLabels" . | nindent 4 }}
  scope_label: cluster-name
  {{- /* The keepers set `role`, by which the Services select. */}}
  role_label: patroni-role
  leader_label_value: primary
  follower_label_value: replica
  standby_leader_label_value: standby-leader
restapi:
  listen: 0.0.0.0:8008
  certfile: /etc/postgres-ha/tls/tls.crt
  keyfile: /etc/postgres-ha/tls/tls.key
  cafile: /etc/postgres-ha/tls/ca.crt
  {{- /* Whoever changes something shows a certificate; probes cannot. */}}
  verify_client: optional
ctl:
  certfile: /etc/postgres-ha/tls/tls.crt
  keyfile: /etc/postgres-ha/tls/tls.key
  cacert: /etc/postgres-ha/tls/ca.crt
  {{- /* Members go by addresses, which no certificate can name: the authority is checked, the name is not. */}}
  insecure: true
watchdog:
  {{- /* Pods have none: the liveness probe takes its place. */}}
  mode: "off"
postgresql:
  listen: 0.0.0.0:5432
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /pgdata/17
  pgpass: /tmp/pgpass
  use_unix_socket: true
  authentication:
    {{- /* No password: the superuser comes in through the socket, from inside the pod, and no other way. */}}
    superuser:
      username: postgres
    replication:
      username: {{ include "postgres-ha.rotated" (list "replicator" .Values.credentials.internal.rotation) }}
      sslmode: verify-ca
      sslrootcert: /etc/postgres-ha/tls/ca.crt
    rewind:
      username: {{ include "postgres-ha.rotated" (list "rewind" .Values.credentials.internal.rotation) }}
      sslmode: verify-ca
      sslrootcert: /etc/postgres-ha/tls/ca.crt
  {{- /*
  A replica whose log went another way, and cannot be led back, is copied anew without anyone asking. Not so one that
  was away until the log it needs was gone: it may be all that is left of a healthy copy.
  */}}
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  basebackup:
    - checkpoint: fast
    {{- if .Values.storage.wal.enabled }}
    - waldir: /pgwal/17
    {{- end }}
  {{- /* The keeper looks at the label of the primary's Service again, should it not have heard of the lock. */}}
  callbacks:
    on_start: postgres-ha-tell-keeper
    on_role_change: postgres-ha-tell-keeper
  parameters:
    unix_socket_directories: /run/postgresql
    ssl: "on"
    ssl_cert_file: /etc/postgres-ha/tls/tls.crt
    ssl_key_file: /etc/postgres-ha/tls/tls.key
    {{- /* What is here beats what Patroni stores. */}}
    ssl_min_protocol_version: {{ .Values.postgresql.parameters.ssl_min_protocol_version | default "TLSv1.2" }}
{{- end -}}

{{- define "postgres-ha.patroniName" -}}
{{ include "postgres-ha.fullname" . }}-patroni-{{ include "postgres-ha.patroniLocal" . | sha256sum | trunc 8 }}
{{- end -}}

{{/* Room for the write-ahead log, in MiB: its own volume, or the data's. */}}
{{- define "postgres-ha.walMebibytes" -}}
{{- with .Values.storage -}}
{{- include "postgres-ha.mebibytes" (ternary .wal.size .size .wal.enabled) -}}
{{- end -}}
{{- end -}}
