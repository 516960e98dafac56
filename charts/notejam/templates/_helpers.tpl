{{- define "notejam.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* 53 characters, so that names with a suffix such as -migrate stay within 63. */}}
{{- define "notejam.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* For metadata of objects only: pods and selectors must not change with the chart's version. */}}
{{- define "notejam.labels" -}}
{{ include "notejam.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/part-of: notejam
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end -}}

{{/* Each object adds its own app.kubernetes.io/component. */}}
{{- define "notejam.selectorLabels" -}}
app.kubernetes.io/name: {{ include "notejam.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "notejam.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "notejam.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A digest beats the tag, the tag beats the appVersion. */}}
{{- define "notejam.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The app's settings that are no secrets. One that is left at the app's own default is left out. */}}
{{- define "notejam.settings" -}}
{{- $settings := dict -}}
{{- with .Values -}}
{{- $_ := set $settings "NOTEJAM_EXTERNAL_URL" .externalUrl -}}
{{- if .allowedHosts -}}
{{- /* `helm test` and port-forwards use the Service's name. */ -}}
{{- $_ := set $settings "NOTEJAM_ALLOWED_HOSTS" (join "," (append .allowedHosts (include "notejam.fullname" $))) -}}
{{- end -}}
{{- $_ := set $settings "NOTEJAM_PROXY_HOPS" (ternary "" (toString .proxyHops) (eq (int .proxyHops) 0)) -}}
{{- $_ := set $settings "DATABASE_REPLICA_HOST" .database.replicaHost -}}
{{- $_ := set $settings "NOTEJAM_DATABASE_WAIT" (ternary "" (toString .database.waitSeconds) (eq (int .database.waitSeconds) 5)) -}}
{{- $_ := set $settings "NOTEJAM_MAIL_FROM" .mail.from -}}
{{- $_ := set $settings "NOTEJAM_RATE_LIMITS" (ternary "" "off" .rateLimits.enabled) -}}
{{- range $field := list "signInAccount" "signInAddress" "signUpAddress" "forgotAccount" "forgotAddress" -}}
{{- $_ := set $settings (printf "NOTEJAM_LIMIT_%s" ($field | snakecase | upper)) (get $.Values.rateLimits $field) -}}
{{- end -}}
{{- $_ := set $settings "NOTEJAM_METRICS_PORT" (ternary "" "0" .metrics.enabled) -}}
{{- $_ := set $settings "NOTEJAM_LOG_ADDRESSES" (ternary "" .logs.addresses (eq .logs.addresses "none")) -}}
{{- $_ := set $settings "OTEL_EXPORTER_OTLP_ENDPOINT" .tracing.endpoint -}}
{{- $_ := set $settings "OTEL_SERVICE_NAME" (ternary (include "notejam.fullname" $) "" (ne .tracing.endpoint "")) -}}
{{- end -}}
{{- range $name, $value := $settings -}}
{{- if $value }}
{{ $name }}: {{ $value | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
