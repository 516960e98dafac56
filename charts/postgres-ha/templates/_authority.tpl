{{/*
Members with certificates of one authority trust none of another. A change of the Secret that is in use, in its place, is
followed by all of them; another Secret comes member by member, and half of them would be strangers to the others.
*/}}
{{- define "postgres-ha.authorityRule" -}}
{{- $was := "" -}}
{{- $found := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "postgres-ha.fullname" .) -}}
{{- range (((($found).spec).template).spec).volumes | default list -}}
{{- if eq .name "tls" -}}
{{- $was = .secret.secretName -}}
{{- end -}}
{{- end -}}
{{- $is := include "postgres-ha.tlsSecret" . -}}
{{- if and $was (ne $was $is) -}}
{{- $old := (lookup "v1" "Secret" .Release.Namespace $was).data | default dict -}}
{{- $new := (lookup "v1" "Secret" .Release.Namespace $is).data | default dict -}}
{{- $trusted := include "postgres-ha.authorities" $old -}}
{{- if and $trusted (ne $trusted (include "postgres-ha.authorities" $new)) -}}
{{- $given := empty $new | ternary (printf "there is no Secret %s" $is) (printf "the Secret %s has another authority (ca.crt)" $is) -}}
{{- $first := "" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- $job := include "postgres-ha.certificatesName" . -}}
{{- if lookup "batch/v1" "CronJob" .Release.Namespace $job -}}
{{- $first = printf "\n  kubectl --namespace %s patch cronjob %s --patch '{\"spec\": {\"suspend\": true}}'" .Release.Namespace $job -}}
{{- else if .Capabilities.APIVersions.Has "cert-manager.io/v1/Certificate" -}}
{{- if lookup "cert-manager.io/v1" "Certificate" .Release.Namespace $fullname -}}
{{- $first = printf "\n  kubectl --namespace %s delete certificate %s   # cert-manager would write it again" .Release.Namespace $fullname -}}
{{- end -}}
{{- end -}}
{{- fail (printf "tls.mode: is %s now, and the members show certificates of the Secret %s; %s. Members of the one would trust none of the other, and the upgrade could not be carried out. First let the members take up the new files from the Secret that they have: %s\n  put tls.crt, tls.key and ca.crt into the Secret %s, and wait for two minutes\n  make the Secret %s with the same files, and upgrade again" .Values.tls.mode $was $given $first $was $is) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The authorities that a Secret's ca.crt has, in whatever order and shape; the argument is its data. */}}
{{- define "postgres-ha.authorities" -}}
{{- $text := get . "ca.crt" | b64dec -}}
{{- $found := list -}}
{{- range regexFindAll "-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----" $text -1 -}}
{{- $found = append $found (regexReplaceAll "\\s" . "") -}}
{{- end -}}
{{- $found | uniq | sortAlpha | join " " -}}
{{- end -}}
