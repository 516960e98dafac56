{{/* Pod names, and labels that Kubernetes derives from them, leave 52 characters. */}}
{{- define "postgres-ha.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Never change: the StatefulSet's selector and volumes carry them. */}}
{{- define "postgres-ha.selectorLabels" -}}
app.kubernetes.io/name: postgres-ha
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database
{{- end -}}

{{/* For metadata only: the version in a selector or pod template would restart the members at each new chart. */}}
{{- define "postgres-ha.labels" -}}
{{ include "postgres-ha.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/part-of: notejam
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end -}}

{{- define "postgres-ha.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "postgres-ha.appSecret" -}}
{{- .Values.credentials.app.existingSecret | default (printf "%s-app" (include "postgres-ha.fullname" .)) -}}
{{- end -}}

{{- define "postgres-ha.internalSecret" -}}
{{- .Values.credentials.internal.existingSecret | default (printf "%s-internal" (include "postgres-ha.fullname" .)) -}}
{{- end -}}

{{- define "postgres-ha.ownerSecret" -}}
{{- .Values.credentials.owner.existingSecret | default (printf "%s-owner" (include "postgres-ha.fullname" .)) -}}
{{- end -}}

{{- define "postgres-ha.tlsSecret" -}}
{{- ternary .Values.tls.existingSecret (printf "%s-tls" (include "postgres-ha.fullname" .)) (eq .Values.tls.mode "existingSecret") -}}
{{- end -}}

{{/* Names that a certificate must have, as a JSON list: the Services, and every member. */}}
{{- define "postgres-ha.tlsHosts" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- $hosts := list -}}
{{- range $service := list (printf "%s-primary" $fullname) (printf "%s-replicas" $fullname) (printf "*.%s-members" $fullname) -}}
{{- range $suffix := list "" (printf ".%s" $.Release.Namespace) (printf ".%s.svc" $.Release.Namespace) (printf ".%s.svc.%s" $.Release.Namespace $.Values.clusterDomain) -}}
{{- $hosts = append $hosts (printf "%s%s" $service $suffix) -}}
{{- end -}}
{{- end -}}
{{- toJson (append $hosts "localhost") -}}
{{- end -}}

{{/*
The CronJob's name, for which Kubernetes leaves 52 characters, since its Jobs get longer ones. A long name is cut, and
told by its digest from another one that begins alike.
*/}}
{{- define "postgres-ha.certificatesName" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- $short := ternary (printf "%s-%s" (trunc 34 $fullname) ($fullname | sha256sum | trunc 4)) $fullname (gt (len $fullname) 39) -}}
{{ $short }}-certificates
{{- end -}}

{{/* The labels of a pod that is no member: another component, so that no Service takes it for one. */}}
{{- define "postgres-ha.helperLabels" -}}
{{- $component := index . 1 -}}
{{- include "postgres-ha.labels" (index . 0) | replace "component: database" (printf "component: %s" $component) -}}
{{- end -}}

{{- define "postgres-ha.helperPodLabels" -}}
{{- $component := index . 1 -}}
{{- include "postgres-ha.selectorLabels" (index . 0) | replace "component: database" (printf "component: %s" $component) -}}
{{- end -}}

{{/* Pods and containers of every Job. */}}
{{- define "postgres-ha.helperPodSecurity" -}}
runAsNonRoot: true
runAsUser: 999
runAsGroup: 999
fsGroup: 999
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postgres-ha.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "postgres-ha.helperResources" -}}
requests:
  cpu: 10m
  memory: 32Mi
limits:
  memory: 128Mi
{{- end -}}

{{/* Secrets with a password of one role; the argument is a list: root, name, role, database, which may be none. */}}
{{- define "postgres-ha.roleSecret" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $found := (lookup "v1" "Secret" $root.Release.Namespace $name).data | default dict -}}
{{- $password := get $found "password" | b64dec | default (randAlphaNum 40) -}}
{{- $host := printf "%s-primary" (include "postgres-ha.fullname" $root) -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}
  labels:
    {{- include "postgres-ha.labels" $root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data:
  username: {{ index . 2 | b64enc }}
  password: {{ $password | b64enc }}
  host: {{ $host | b64enc }}
  port: {{ "5432" | b64enc }}
  {{- if index . 3 }}
  database: {{ index . 3 | b64enc }}
  uri: {{ printf "postgresql://%s:%s@%s:5432/%s" (index . 2) ($password | urlquery | replace "+" "%20") $host (index . 3) | b64enc }}
  {{- end }}
{{- end -}}

{{/*
Where a user may connect, as a JSON list; its Secret names the first. An empty list is none: only a user who says nothing
gets the application's. Arguments: root, an item of users.
*/}}
{{- define "postgres-ha.userDatabases" -}}
{{- $user := index . 1 -}}
{{- ternary $user.databases (list (index . 0).Values.database.name) (hasKey $user "databases") | toJson -}}
{{- end -}}

{{/* A size such as 512Mi or 8Gi, in MiB. */}}
{{- define "postgres-ha.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- get (dict "Mi" $number "Gi" (mul $number 1024) "Ti" (mul $number 1048576)) (regexFind "[A-Z]i$" .) -}}
{{- end -}}

{{/*
Seconds between two looks at a Patroni, and for its answer. The lock was renewed up to loopWait before a Patroni hangs. From
then on the first look may be this far away, three fail, and the stop takes 3 s: a hook that hangs too, and what kubelet
gives after it.
*/}}
{{- define "postgres-ha.livenessSeconds" -}}
{{- with .Values.failover -}}
{{- div (sub (sub .ttl .loopWait) 3) 4 -}}
{{- end -}}
{{- end -}}
