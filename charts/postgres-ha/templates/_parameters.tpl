{{/* postgresql.parameters: those that are not the user's to set, and those that break what durability promises. */}}
{{- define "postgres-ha.parameterRules" -}}
{{- $parameters := .Values.postgresql.parameters -}}
{{- $keys := dict "hba_file" "postgresql.hba" "max_connections" "postgresql.maxConnections" "ssl" "tls.required" "ssl_ca_file" "tls.mode" "ssl_cert_file" "tls.mode" "ssl_key_file" "tls.mode" "synchronous_standby_names" "durability" -}}
{{- range $name, $key := $keys -}}
{{- if hasKey $parameters $name -}}
{{- fail (printf "postgresql.parameters.%s: the chart sets it, as its key %s says. Set that key, and leave this out." $name $key) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "config_file" "data_directory" "ident_file" "listen_addresses" "port" "unix_socket_directories" -}}
{{- if hasKey $parameters $name -}}
{{- fail (printf "postgresql.parameters.%s: files, sockets and ports have fixed places in a member's pod, by which its containers find each other. Leave it out." $name) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "cluster_name" "hot_standby" "primary_conninfo" "primary_slot_name" "wal_log_hints" -}}
{{- if hasKey $parameters $name -}}
{{- fail (printf "postgresql.parameters.%s: Patroni sets it on each member, so that replicas follow the primary. Leave it out." $name) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $parameters "password_encryption" -}}
{{- fail "postgresql.parameters.password_encryption: every login over the network takes scram-sha-256, and passwords are kept so. Leave it out." -}}
{{- end -}}
{{- if hasKey $parameters "default_transaction_read_only" -}}
{{- fail "postgresql.parameters.default_transaction_read_only: the keeper sets it while a volume is nearly full. Leave it out; for one role, use ALTER ROLE … SET." -}}
{{- end -}}
{{- if ne .Values.durability "none" -}}
{{- /* Words that Postgres takes for off. YAML's own off is a boolean by now. */ -}}
{{- $off := "^(of|off|f|fa|fal|fals|false|n|no|0)$" -}}
{{- range $name := list "fsync" "full_page_writes" -}}
{{- if regexMatch $off (get $parameters $name | toString | lower) -}}
{{- fail (printf "postgresql.parameters.%s: off can damage what is on the disk when a node goes down, and durability is %s. Leave it out, or set durability to none." $name $.Values.durability) -}}
{{- end -}}
{{- end -}}
{{- $commit := get $parameters "synchronous_commit" | toString | lower -}}
{{- if or (eq $commit "local") (regexMatch $off $commit) -}}
{{- fail (printf "postgresql.parameters.synchronous_commit: with %s a commit waits for no replica, a failover may lose it, and durability is %s. Set it to remote_write, on or remote_apply, or durability to none." $commit .Values.durability) -}}
{{- end -}}
{{- end -}}
{{- end -}}
