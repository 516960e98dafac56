{{/* What a schema cannot say: rules between two values, and between values and the cluster. */}}
{{- define "postgres-ha.rules" -}}
{{- with .Values.failover -}}
{{- if gt (add .loopWait (mul 2 .retryTimeout)) (int64 .ttl) -}}
{{- fail (printf "failover.loopWait + 2 * failover.retryTimeout is %d and must not exceed failover.ttl, which is %d" (add .loopWait (mul 2 .retryTimeout)) (int64 .ttl)) -}}
{{- end -}}
{{- end -}}
{{- if gt (add .Values.preStopSeconds 30) (int64 .Values.terminationGracePeriodSeconds) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d and must be at least preStopSeconds + 30, which is %d" (int64 .Values.terminationGracePeriodSeconds) (add .Values.preStopSeconds 30)) -}}
{{- end -}}
{{- $reserved := list "postgres" "replicator" "replicator_2" "rewind" "rewind_2" "monitor" "backup" -}}
{{- $names := list .Values.database.user (printf "%s_2" .Values.database.user) -}}
{{- if .Values.database.owner -}}
{{- if has .Values.database.owner $names -}}
{{- fail (printf "database.owner is %s, which is database.user or its second login: leave it out, or name another role" .Values.database.owner) -}}
{{- end -}}
{{- $names = append $names .Values.database.owner -}}
{{- end -}}
{{- range $number, $user := .Values.users -}}
{{- if has .name (concat $names $reserved) -}}
{{- fail (printf "users[%d].name is %s, which is taken: by an earlier user, by database.user or database.owner, or by the chart" $number .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $databases := list .Values.database.name -}}
{{- range $number, $database := .Values.databases -}}
{{- if has .name $databases -}}
{{- fail (printf "databases[%d].name is %s, which is there already" $number .name) -}}
{{- end -}}
{{- $databases = append $databases .name -}}
{{- if not (has .owner $names) -}}
{{- fail (printf "databases[%d].owner is %s, which is neither database.user nor one of users" $number .owner) -}}
{{- end -}}
{{- end -}}
{{- range $number, $user := .Values.users -}}
{{- range .databases -}}
{{- if not (has . $databases) -}}
{{- fail (printf "users[%d].databases names %s, which is neither database.name nor one of databases" $number .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The size in a volume claim template, which Kubernetes never lets change: that of the StatefulSet in the cluster.
Claims that exist grow by the Job of `helm upgrade`. Arguments: root, claim, size.
*/}}
{{- define "postgres-ha.claimSize" -}}
{{- $root := index . 0 -}}
{{- $claim := index . 1 -}}
{{- $size := index . 2 -}}
{{- $found := lookup "apps/v1" "StatefulSet" $root.Release.Namespace (include "postgres-ha.fullname" $root) -}}
{{- $there := "" -}}
{{- range (($found).spec).volumeClaimTemplates | default list -}}
{{- if eq .metadata.name $claim -}}
{{- $there = .spec.resources.requests.storage -}}
{{- end -}}
{{- end -}}
{{- if and $there (regexMatch "^[1-9][0-9]*(Mi|Gi|Ti)$" $there) -}}
{{- if lt (include "postgres-ha.mebibytes" $size | int) (include "postgres-ha.mebibytes" $there | int) -}}
{{- fail (printf "storage: the volume %s was made with %s and cannot shrink to %s" $claim $there $size) -}}
{{- end -}}
{{- end -}}
{{- $there | default $size -}}
{{- end -}}
