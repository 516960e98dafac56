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
{{- range $name := list "ssl_crl_dir" "ssl_crl_file" "ssl_dh_params_file" "ssl_passphrase_command" -}}
{{- if hasKey $parameters $name -}}
{{- fail (printf "postgresql.parameters.%s: there is no such file in a member's pod. A reload would pass over it, and the next start of Postgres fail. Leave it out." $name) -}}
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
{{- include "postgres-ha.knownParameters" . -}}
{{- include "postgres-ha.startParameters" . -}}
{{- if ne .Values.durability "none" -}}
{{- /* Words that Postgres takes for off. YAML's own off is a boolean by now. */ -}}
{{- $off := "^(of|off|f|fa|fal|fals|false|n|no|0)$" -}}
{{- range $name := list "fsync" "full_page_writes" -}}
{{- if regexMatch $off (get $parameters $name | toString | lower) -}}
{{- fail (printf "postgresql.parameters.%s: off can damage what is on the disk when a node goes down, and durability is %s. Leave it out, or set durability to none." $name $.Values.durability) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "data_sync_retry" "ignore_checksum_failure" "ignore_invalid_pages" "zero_damaged_pages" -}}
{{- if regexMatch "^(on|t|tr|tru|true|y|ye|yes|1)$" (get $parameters $name | toString | lower) -}}
{{- fail (printf "postgresql.parameters.%s: on goes on past damage on the disk, with rows that are lost or wrong, and durability is %s. Leave it out, or set durability to none." $name $.Values.durability) -}}
{{- end -}}
{{- end -}}
{{- $commit := get $parameters "synchronous_commit" | toString | lower -}}
{{- if or (eq $commit "local") (regexMatch $off $commit) -}}
{{- fail (printf "postgresql.parameters.synchronous_commit: with %s a commit waits for no replica, a failover may lose it, and durability is %s. Set it to remote_write, on or remote_apply, or durability to none." $commit .Values.durability) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
What Patroni cannot read it passes over, with a line in its log only, and what is out of range it changes.
files/parameters.json is what Postgres itself says of its settings. Those of extensions have a dot.
*/}}
{{- define "postgres-ha.knownParameters" -}}
{{- $known := .Files.Get "files/parameters.json" | fromJson -}}
{{- range $name, $value := .Values.postgresql.parameters -}}
{{- if not (regexMatch "^[a-z][a-z0-9_]*([.][a-z_][a-z0-9_]*)*$" $name) -}}
{{- fail (printf "postgresql.parameters.%s: is no name of a setting: small letters, digits and _, with a letter first; one of an extension has a dot between two such words. Correct it." $name) -}}
{{- end -}}
{{- if not (contains "." $name) -}}
{{- $kind := get $known $name -}}
{{- if not $kind -}}
{{- fail (printf "postgresql.parameters.%s: PostgreSQL %s has no such setting, or it is the server's own to set. Look: SELECT name, context FROM pg_settings." $name $.Chart.AppVersion) -}}
{{- end -}}
{{- $text := $value | toString -}}
{{- if kindIs "float64" $value -}}
{{- $text = include "postgres-ha.plainNumber" $value -}}
{{- end -}}
{{- $takes := include "postgres-ha.parameterTakes" (list $kind $text (regexMatch "_(mode|permissions)$" $name)) -}}
{{- if $takes -}}
{{- fail (printf "postgresql.parameters.%s: is %q, and takes %s. Set it so, or leave it out." $name $text $takes) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a setting takes, empty if the value is such. Arguments: what is known of it, the value, whether it may be octal. */}}
{{- define "postgres-ha.parameterTakes" -}}
{{- $kind := index . 0 -}}
{{- $value := index . 1 -}}
{{- $isSwitch := regexMatch "^(on|off|true|false|yes|no|1|0)$" (lower $value) -}}
{{- if eq $kind.type "bool" -}}
{{- ternary "" "on or off" $isSwitch -}}
{{- else if eq $kind.type "enum" -}}
{{- $words := list -}}
{{- range $kind.words -}}
{{- $words = append $words (lower .) -}}
{{- end -}}
{{- if not (or (has (lower $value) $words) (and $isSwitch (has "on" $words))) -}}
one of {{ join ", " $kind.words }}
{{- end -}}
{{- else if ne $kind.type "string" -}}
{{- include "postgres-ha.numberTakes" . -}}
{{- end -}}
{{- end -}}

{{- define "postgres-ha.plainNumber" -}}
{{- ternary (int64 . | toString) (toString .) (and (eq (floor .) (float64 .)) (lt (float64 .) 1e15)) -}}
{{- end -}}

{{/* Bytes and microseconds. */}}
{{- define "postgres-ha.unitFactors" -}}
{"": 1, "B": 1, "kB": 1024, "8kB": 8192, "MB": 1048576, "GB": 1073741824, "TB": 1099511627776, "us": 1, "ms": 1000, "s": 1000000, "min": 60000000, "h": 3600000000, "d": 86400000000}
{{- end -}}

{{/* A number with a unit in bytes or microseconds. Arguments: the value, the unit where it has none. */}}
{{- define "postgres-ha.quantity" -}}
{{- $value := index . 0 -}}
{{- $unit := regexFind "[A-Za-z]*$" $value | default (index . 1) -}}
{{- mulf (regexReplaceAll " *[A-Za-z]*$" $value "" | float64) (get (include "postgres-ha.unitFactors" . | fromJson) $unit) -}}
{{- end -}}

{{/* The same for numbers, with the unit of the setting, and within its bounds. Octal ones have none. */}}
{{- define "postgres-ha.numberTakes" -}}
{{- $kind := index . 0 -}}
{{- $value := index . 1 -}}
{{- $factors := include "postgres-ha.unitFactors" . | fromJson -}}
{{- $base := get $kind "unit" -}}
{{- $units := list -}}
{{- if has $base (list "B" "kB" "8kB" "MB") -}}
{{- $units = list "B" "kB" "MB" "GB" "TB" -}}
{{- else if $base -}}
{{- $units = list "us" "ms" "s" "min" "h" "d" -}}
{{- end -}}
{{- $isOctal := and (index . 2) (regexMatch "^0[0-7]{3}$" $value) -}}
{{- $isFit := or $isOctal (regexMatch (printf "^[+-]?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)? *(%s)$" (join "|" (prepend $units ""))) $value) -}}
{{- if and $isFit (not $isOctal) -}}
{{- $is := include "postgres-ha.quantity" (list $value $base) | float64 -}}
{{- $isFit = not (or (lt $is (mulf $kind.min (get $factors $base))) (gt $is (mulf $kind.max (get $factors $base)))) -}}
{{- end -}}
{{- if not $isFit -}}
a number from {{ include "postgres-ha.plainNumber" $kind.min }} to {{ include "postgres-ha.plainNumber" $kind.max }}{{ if $units }}, in {{ $base }} or with a unit: {{ join ", " $units }}{{ end }}
{{- end -}}
{{- end -}}

{{/* What a reload takes, and the next start of Postgres does not: it would be noticed when a member is lost. */}}
{{- define "postgres-ha.startParameters" -}}
{{- $parameters := .Values.postgresql.parameters -}}
{{- range $name := list "max_wal_size" "min_wal_size" -}}
{{- if hasKey $parameters $name -}}
{{- $value := get $parameters $name | toString -}}
{{- if lt (include "postgres-ha.quantity" (list $value "MB") | float64) (include "postgres-ha.quantity" (list "32MB" "") | float64) -}}
{{- fail (printf "postgresql.parameters.%s: is %s, and must be at least 32MB, two files of the log: with less, Postgres does not start again. Raise it, or leave it out." $name $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $reserved := add (ternary (get $parameters "superuser_reserved_connections") 3 (hasKey $parameters "superuser_reserved_connections") | int) (get $parameters "reserved_connections" | int) -}}
{{- if ge (int $reserved) (int .Values.postgresql.maxConnections) -}}
{{- fail (printf "postgresql.parameters.superuser_reserved_connections: with reserved_connections it is %d, and must be less than postgresql.maxConnections, which is %d: else Postgres does not start. Lower it." $reserved (int .Values.postgresql.maxConnections)) -}}
{{- end -}}
{{- if and (eq (get $parameters "ssl_min_protocol_version") "TLSv1.3") (eq (get $parameters "ssl_max_protocol_version") "TLSv1.2") -}}
{{- fail "postgresql.parameters.ssl_max_protocol_version: is TLSv1.2, and ssl_min_protocol_version is TLSv1.3: Postgres does not start with nothing in between. Raise the one, or lower the other." -}}
{{- end -}}
{{- if hasKey $parameters "ssl_ciphers" -}}
{{- if not (regexFind "(^|[:, ])[^:, !@+-]" (regexReplaceAll "(^|[:, ])TLS_(AES|CHACHA20)_[A-Z0-9_]+" (get $parameters "ssl_ciphers" | toString) "")) -}}
{{- fail (printf "postgresql.parameters.ssl_ciphers: %q has no cipher of TLS 1.2, and Postgres does not start without one. Those of TLS 1.3, whose names begin with TLS_, are always on. Add one such as HIGH, or leave it out." (get $parameters "ssl_ciphers")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
