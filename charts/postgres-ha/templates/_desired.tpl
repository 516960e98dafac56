{{/* A login and its rotation: the odd ones have a name of their own, so that the one before still works. */}}
{{- define "postgres-ha.rotated" -}}
{{- $name := index . 0 -}}
{{- ternary (printf "%s_2" $name) $name (eq (mod (int (index . 1)) 2) 1) -}}
{{- end -}}

{{/* Roles, databases and extensions, which the primary's keeper makes so. */}}
{{- define "postgres-ha.desired" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- $app := include "postgres-ha.appSecret" . -}}
{{- $internal := include "postgres-ha.internalSecret" . -}}
{{- $db := .Values.database -}}
{{- $owner := $db.owner | default $db.user -}}
{{- $roles := list (dict "name" "monitor" "memberOf" (list "pg_monitor")) -}}
{{- $roles = append $roles (dict "name" "backup" "replication" true "memberOf" (list "pg_read_all_data" "pg_read_all_settings" "pg_checkpoint") "secret" (dict "name" $internal "key" "backup-password")) -}}
{{- $odd := eq (mod (int .Values.credentials.internal.rotation) 2) 1 -}}
{{- range $role := list "replicator" "rewind" -}}
{{- $login := include "postgres-ha.rotated" (list $role $.Values.credentials.internal.rotation) -}}
{{- $key := ternary "replication-password" "rewind-password" (eq $role "replicator") -}}
{{- $secret := dict "name" $internal "key" $key -}}
{{- if not $.Values.credentials.internal.existingSecret -}}
{{- $_ := set $secret "rotation" (int $.Values.credentials.internal.rotation) -}}
{{- end -}}
{{- $item := dict "name" $login "replication" (eq $role "replicator") "secret" $secret -}}
{{- if $odd -}}
{{- $_ := set $item "memberOf" (list $role) -}}
{{- end -}}
{{- $roles = append $roles $item -}}
{{- end -}}
{{- $login := include "postgres-ha.rotated" (list $db.user .Values.credentials.app.rotation) -}}
{{- $secret := dict "name" $app "key" "password" -}}
{{- if not .Values.credentials.app.existingSecret -}}
{{- $_ := set $secret "rotation" (int .Values.credentials.app.rotation) -}}
{{- end -}}
{{- $item := dict "name" $login "secret" $secret -}}
{{- if ne $login $db.user -}}
{{- $_ := set $item "actsAs" $db.user -}}
{{- end -}}
{{- $roles = append $roles $item -}}
{{- if $db.owner -}}
{{- $roles = append $roles (dict "name" $db.owner "secret" (dict "name" (include "postgres-ha.ownerSecret" .) "key" "password")) -}}
{{- end -}}
{{- range .Values.users -}}
{{- $secret := .existingSecret | default (printf "%s-user-%s" $fullname (.name | replace "_" "-")) -}}
{{- $roles = append $roles (dict "name" .name "declared" true "connectionLimit" (ternary .connectionLimit -1 (hasKey . "connectionLimit") | int) "memberOf" (.memberOf | default list) "databases" (include "postgres-ha.userDatabases" (list $ .) | fromJsonArray) "secret" (dict "name" $secret "key" "password")) -}}
{{- end -}}
{{- $databases := list (dict "name" $db.name "owner" $owner "user" $db.user "extensions" $db.extensions) -}}
{{- range .Values.databases -}}
{{- $databases = append $databases (dict "name" .name "owner" .owner "user" .owner "extensions" (.extensions | default list)) -}}
{{- end -}}
{{- $functions := dict
  "backup" (list
    "pg_catalog.pg_backup_start(text, boolean)" "pg_catalog.pg_backup_stop(boolean)" "pg_catalog.pg_switch_wal()"
    "pg_catalog.pg_create_restore_point(text)")
-}}
{{- $wishes := dict "roles" $roles "databases" $databases "functions" $functions "hba" .Values.postgresql.hba "internalRotation" (int .Values.credentials.internal.rotation) -}}
{{- if not .Values.credentials.app.existingSecret -}}
{{- $_ := set $wishes "trust" $app -}}
{{- end -}}
{{- $_ := set $wishes "version" (toJson $wishes | sha256sum | trunc 16) -}}
{{- toPrettyJson $wishes -}}
{{- end -}}

{{/*
The Job runs after an upgrade or a rollback; after an install only over what an uninstall kept, where Patroni's
stored settings may be older than the values.
*/}}
{{- define "postgres-ha.rolloutHook" -}}
{{- $kept := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-config" (include "postgres-ha.fullname" .)) -}}
helm.sh/hook: {{ ternary "post-install,post-upgrade,post-rollback" "post-upgrade,post-rollback" (and .Release.IsInstall (not (empty $kept))) }}
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}
