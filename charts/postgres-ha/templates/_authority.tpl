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
{{- if and (get $old "ca.crt") (ne (get $old "ca.crt") (get $new "ca.crt")) -}}
{{- $given := empty $new | ternary (printf "there is no Secret %s" $is) (printf "the Secret %s has another authority (ca.crt)" $is) -}}
{{- $name := include "postgres-ha.certificatesName" . -}}
{{- $job := lookup "batch/v1" "CronJob" .Release.Namespace $name -}}
{{- $suspend := empty $job | ternary "" (printf "\n  kubectl patch cronjob %s --patch '{\"spec\": {\"suspend\": true}}'" $name) -}}
{{- fail (printf "tls.mode: is %s now, and the members show certificates of the Secret %s; %s. Members of the one would trust none of the other, and the upgrade could not be carried out. First let the members take up the new files from the Secret that they have: %s\n  put tls.crt, tls.key and ca.crt into the Secret %s, and wait for two minutes\n  make the Secret %s with the same files, and upgrade again" .Values.tls.mode $was $given $suspend $was $is) -}}
{{- end -}}
{{- end -}}
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
