{{/* What is fixed at install, as far as the cluster can tell. `helm template` without a cluster finds nothing there. */}}
{{- define "postgres-ha.fixedRules" -}}
{{- if .Release.IsUpgrade -}}
{{- include "postgres-ha.fixedName" . -}}
{{- include "postgres-ha.fixedDatabase" . -}}
{{- end -}}
{{- end -}}

{{/* Where both names are there, an earlier upgrade has begun with empty volumes: neither name is refused then. */}}
{{- define "postgres-ha.fixedName" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- $names := list -}}
{{- range (lookup "apps/v1" "StatefulSet" .Release.Namespace "").items | default list -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/name") "postgres-ha") (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) -}}
{{- $names = append $names .metadata.name -}}
{{- end -}}
{{- end -}}
{{- if and $names (not (has $fullname $names)) -}}
{{- fail (printf "fullnameOverride: is fixed at install. The release has the StatefulSet %s, and would get %s: the volumes carry the name, and an upgrade would begin with empty ones. Set it to %s." (first $names) $fullname (first $names)) -}}
{{- end -}}
{{- end -}}

{{/* What the last revision declared. The Secret tells too, but one of the user's own has no such keys. */}}
{{- define "postgres-ha.fixedDatabase" -}}
{{- $name := printf "%s-desired" (include "postgres-ha.fullname" .) -}}
{{- $data := (lookup "v1" "ConfigMap" .Release.Namespace $name).data | default dict -}}
{{- $there := (get $data "desired.json" | default "{}" | fromJson).databases | default list | first | default dict -}}
{{- range $key := list "name" "user" -}}
{{- $was := get $there $key -}}
{{- $is := get $.Values.database $key -}}
{{- if and $was (ne $was $is) -}}
{{- fail (printf "database.%s: is fixed at install. The ConfigMap %s has %s, and the values have %s: an upgrade would make another one, and leave behind what is there. Set it to %s." $key $name $was $is $was) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The size in a volume claim template, which Kubernetes never lets change: that of the StatefulSet in the cluster.
Claims that exist grow by the Job of `helm upgrade`, and never shrink. Those of members that were scaled away count when
the members come back. Arguments: root, claim, size.
*/}}
{{- define "postgres-ha.claimSize" -}}
{{- $root := index . 0 -}}
{{- $claim := index . 1 -}}
{{- $size := index . 2 -}}
{{- $fullname := include "postgres-ha.fullname" $root -}}
{{- $found := lookup "apps/v1" "StatefulSet" $root.Release.Namespace $fullname -}}
{{- $there := "" -}}
{{- range (($found).spec).volumeClaimTemplates | default list -}}
{{- if eq .metadata.name $claim -}}
{{- $there = .spec.resources.requests.storage -}}
{{- end -}}
{{- end -}}
{{- $sizes := dict (printf "the template %s of the StatefulSet" $claim) $there -}}
{{- range until (int $root.Values.members) -}}
{{- $name := printf "%s-%s-%d" $claim $fullname . -}}
{{- with lookup "v1" "PersistentVolumeClaim" $root.Release.Namespace $name -}}
{{- $_ := set $sizes (printf "the volume %s" $name) .spec.resources.requests.storage -}}
{{- end -}}
{{- end -}}
{{- $most := $size -}}
{{- $what := "" -}}
{{- range $name, $one := $sizes -}}
{{- if and (regexMatch "^[1-9][0-9]*(Mi|Gi|Ti)$" $one) (lt (include "postgres-ha.mebibytes" $most | int) (include "postgres-ha.mebibytes" $one | int)) -}}
{{- $most = $one -}}
{{- $what = $name -}}
{{- end -}}
{{- end -}}
{{- if $what -}}
{{- fail (printf "storage.%s: is %s, and %s has %s: volumes never shrink. Set it to %s or more." (ternary "size" "wal.size" (eq $claim "data")) $size $what $most $most) -}}
{{- end -}}
{{- $there | default $size -}}
{{- end -}}
