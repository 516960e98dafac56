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

{{/* A size such as 512Mi or 8Gi, in MiB. */}}
{{- define "postgres-ha.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- get (dict "Mi" $number "Gi" (mul $number 1024) "Ti" (mul $number 1048576)) (regexFind "[A-Z]i$" .) -}}
{{- end -}}
