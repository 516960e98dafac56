{{/* What a schema cannot say: rules between two values, and between values and the cluster. */}}
{{- define "postgres-ha.rules" -}}
{{- include "postgres-ha.nameRule" . -}}
{{- include "postgres-ha.fixedRules" . -}}
{{- include "postgres-ha.authorityRule" . -}}
{{- include "postgres-ha.roomRule" . -}}
{{- include "postgres-ha.pairRules" . -}}
{{- include "postgres-ha.parameterRules" . -}}
{{- include "postgres-ha.hbaRules" . -}}
{{- with .Values.failover -}}
{{- if gt (add .loopWait (mul 2 .retryTimeout)) (int64 .ttl) -}}
{{- fail (printf "failover.loopWait + 2 * failover.retryTimeout is %d and must not exceed failover.ttl, which is %d" (add .loopWait (mul 2 .retryTimeout)) (int64 .ttl)) -}}
{{- end -}}
{{- if lt (int64 .ttl) (add .loopWait 11) -}}
{{- fail (printf "failover.ttl: is %d and must be at least failover.loopWait + 11, which is %d: a Patroni that hangs must be killed with its Postgres before its lock can end, and not for being slow for a second. Raise ttl, or lower loopWait." (int64 .ttl) (add .loopWait 11)) -}}
{{- end -}}
{{- end -}}
{{- if gt (add .Values.preStopSeconds 30) (int64 .Values.terminationGracePeriodSeconds) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d and must be at least preStopSeconds + 30, which is %d" (int64 .Values.terminationGracePeriodSeconds) (add .Values.preStopSeconds 30)) -}}
{{- end -}}
{{- $reserved := list "postgres" "replicator" "replicator_2" "rewind" "rewind_2" "monitor" "backup" -}}
{{- $second := printf "%s_2" .Values.database.user -}}
{{- $names := list .Values.database.user $second -}}
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
{{- range .memberOf -}}
{{- if has . (list $user.name "public" "none" "pg_database_owner") -}}
{{- fail (printf "users[%d].memberOf names %s: nobody is a member of itself, and Postgres gives no membership in public, none and pg_database_owner. Leave it out." $number .) -}}
{{- end -}}
{{- if has . $reserved -}}
{{- fail (printf "users[%d].memberOf names %s: the superuser stays local, and the logins of replication, backups and metrics belong to the chart. Leave it out; roles of Postgres's own, such as pg_monitor or pg_read_all_data, give rights to read." $number .) -}}
{{- end -}}
{{- if has . (list "pg_execute_server_program" "pg_read_server_files" "pg_write_server_files") -}}
{{- fail (printf "users[%d].memberOf names %s: with the files and programs of a member one is as good as superuser, who stays local. Leave it out; a copy through the client, as psql makes it, needs no such right." $number .) -}}
{{- end -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $databases := list .Values.database.name -}}
{{- range $number, $database := .Values.databases -}}
{{- if has .name $databases -}}
{{- fail (printf "databases[%d].name is %s, which is there already" $number .name) -}}
{{- end -}}
{{- $databases = append $databases .name -}}
{{- /* The second login is there after an odd rotation only, and owns nothing. */ -}}
{{- if not (has .owner (without $names $second)) -}}
{{- fail (printf "databases[%d].owner is %s, which is none of database.user, database.owner and users" $number .owner) -}}
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

{{/* The name as it is in the end: it may come from the release, which can have dots and begin with a digit. */}}
{{- define "postgres-ha.nameRule" -}}
{{- $fullname := include "postgres-ha.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) -}}
{{- fail (printf "fullnameOverride: without it, every object is named after the release, and no Service can be named after %s: it takes small letters, digits and hyphens, a letter at the beginning and no hyphen at the end. Set it to such a name." $fullname) -}}
{{- end -}}
{{- end -}}

{{/*
Writes are refused below 64Mi of free space. Empty databases take about 30, and the log up to a quarter of its room, a part
that it keeps and a file ahead. What is installed may be smaller, and its class may not let it grow.
*/}}
{{- define "postgres-ha.roomRule" -}}
{{- if .Release.IsInstall -}}
{{- with .Values.storage -}}
{{- $least := ternary 256 512 .wal.enabled -}}
{{- if lt (include "postgres-ha.mebibytes" .size | int) $least -}}
{{- fail (printf "storage.size: is %s, and must be at least %dMi%s: in less there is no room to work, since writes are refused when 64Mi are left. Set it to %dMi or more." .size $least (ternary "" ", as the write-ahead log is there, too" .wal.enabled) $least) -}}
{{- end -}}
{{- if and .wal.enabled (lt (include "postgres-ha.mebibytes" .wal.size | int) 256) -}}
{{- fail (printf "storage.wal.size: is %s, and must be at least 256Mi: in less there is no room to work, since writes are refused when 64Mi are left. Set it to 256Mi or more." .wal.size) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $memory := .Values.resources.limits.memory -}}
{{- if lt (include "postgres-ha.mebibytes" $memory | int) 128 -}}
{{- fail (printf "resources.limits.memory: is %s, and must be at least 128Mi: an idle member takes 80, and one that takes more than the limit is killed, again and again. Set it to 128Mi or more." $memory) -}}
{{- end -}}
{{- $memory = .Values.keeper.resources.limits.memory -}}
{{- if lt (include "postgres-ha.mebibytes" $memory | int) 48 -}}
{{- fail (printf "keeper.resources.limits.memory: is %s, and must be at least 48Mi: it takes 25 when idle, and without it no failover reaches the Services. Set it to 48Mi or more." $memory) -}}
{{- end -}}
{{- end -}}

{{/* Keys that need or exclude another one: key, rule, what to do. */}}
{{- define "postgres-ha.pairRules" -}}
{{- if and (eq .Values.durability "required") (lt (int .Values.members) 2) -}}
{{- fail "members: durability `required` needs 2 members or more: with one, no commit could ever be confirmed. Set members to 2, or durability to preferred." -}}
{{- end -}}
{{- with .Values.tls -}}
{{- if and (eq .mode "existingSecret") (not .existingSecret) -}}
{{- fail "tls.existingSecret: tls.mode `existingSecret` needs the name of a Secret with tls.crt, tls.key and ca.crt. Set it, or tls.mode to generated." -}}
{{- end -}}
{{- if and (ne .mode "existingSecret") .existingSecret -}}
{{- fail (printf "tls.existingSecret: is for tls.mode `existingSecret` only, and tls.mode is %s, which would leave the Secret unused. Set tls.mode to existingSecret, or leave this out." .mode) -}}
{{- end -}}
{{- if and (eq .mode "certManager") (not (.issuerRef | default dict).name) -}}
{{- fail "tls.issuerRef: tls.mode `certManager` needs the name of an Issuer. Set tls.issuerRef.name, and tls.issuerRef.kind where it is a ClusterIssuer." -}}
{{- end -}}
{{- if and (ne .mode "certManager") .issuerRef -}}
{{- fail (printf "tls.issuerRef: is for tls.mode `certManager` only, and tls.mode is %s, which asks no issuer. Set tls.mode to certManager, or leave this out." .mode) -}}
{{- end -}}
{{- end -}}
{{- with .Values.credentials.app -}}
{{- if and .existingSecret .rotation -}}
{{- fail (printf "credentials.app.rotation: the Secret %s is yours, and so is the change of its password. Set rotation to 0, and change the Secret instead." .existingSecret) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.credentials.owner.existingSecret (not .Values.database.owner) -}}
{{- fail "credentials.owner.existingSecret: the Secret is for the role database.owner, and no role is named there. Set database.owner, or leave this out." -}}
{{- end -}}
{{- with .Values.import -}}
{{- if and .host (not .existingSecret) -}}
{{- fail "import.existingSecret: a copy from import.host needs a login there. Name a Secret with the keys username and password." -}}
{{- end -}}
{{- if and .existingSecret (not .host) -}}
{{- fail "import.host: import.existingSecret is the login of a source, and no source is named. Set import.host, or leave both out." -}}
{{- end -}}
{{- end -}}
{{- with .Values.metrics -}}
{{- range $part := list "podMonitor" "podMonitoring" "rules" -}}
{{- if and (not $.Values.metrics.enabled) (get $.Values.metrics $part).enabled -}}
{{- fail (printf "metrics.%s.enabled: without the exporter there is nothing to collect or to alert on. Set metrics.enabled to true as well." $part) -}}
{{- end -}}
{{- end -}}
{{- if and .rules.enabled (not .rules.runbooks) -}}
{{- fail "metrics.rules.runbooks: every alert links to its page there. Set it to the address of the folder with the runbook pages." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Each rotation goes to the other of two logins. Two at once come back to the one in use, and give it another password; so
do values from before them. One step down stays possible, for the way back. Arguments: app or internal, what knows
the rotation of before, what is in it, the rotation.
*/}}
{{- define "postgres-ha.rotationRule" -}}
{{- $there := get (index . 2) "rotation" | b64dec | default "0" | int -}}
{{- if and (index . 2) (gt (index . 3) (add1 $there | int)) -}}
{{- fail (printf "credentials.%s.rotation: is %d, and the %s has %d. Raised by more than one, it changes the password of the login that is in use, and whoever uses it is refused. Set it to %d, restart who uses it, and then raise it again." (index . 0) (index . 3) (index . 1) $there (add1 $there)) -}}
{{- end -}}
{{- if and (index . 2) (lt (add1 (index . 3) | int) $there) -}}
{{- fail (printf "credentials.%s.rotation: is %d, and the %s has %d. Lowered by more than one, it changes the password of a login that is in use, and whoever uses it is refused. Set it to %d, as it is there, or to %d to go one step back." (index . 0) (index . 3) (index . 1) $there $there (sub $there 1)) -}}
{{- end -}}
{{- end -}}

{{/* Lines of pg_hba.conf: none that lets somebody in without a password, or in place of the members. */}}
{{- define "postgres-ha.hbaRules" -}}
{{- range $number, $line := .Values.postgresql.hba -}}
{{- if regexMatch "[^ !$-?A-~]|\\\\|, | ," . -}}
{{- fail (printf "postgresql.hba[%d]: %q has a character that could make Postgres read another line than this: a comment, a quote, @, a backslash, a tab, a new line, or a blank beside a comma. Write plain names, with one blank between two fields." $number .) -}}
{{- end -}}
{{- if has "replication" (splitList "," (index (splitList " " (regexReplaceAll " +" . " ")) 1)) -}}
{{- fail (printf "postgresql.hba[%d]: %q is about the database `replication`, but connections of replication are reserved for the members and for backups, over TLS. Leave the line out." $number .) -}}
{{- end -}}
{{- if not (regexMatch "^(local( +[^ ]+){2} +(scram-sha-256|peer|reject)|host(ssl|nossl)?( +[^ ]+){3}( +[0-9a-fA-F.:]+)? +(scram-sha-256|reject))$" .) -}}
{{- fail (printf "postgresql.hba[%d]: %q: the method must be scram-sha-256 or reject, or peer in a line that begins with local, and the last word. Others let people in without a password, and cert needs an authority for clients, which cannot be set. A line is: local DATABASE USER METHOD, or host, hostssl or hostnossl DATABASE USER ADDRESS METHOD." $number .) -}}
{{- end -}}
{{- if and $.Values.tls.required (regexMatch "^host(nossl)? .*scram-sha-256$" .) (not (regexMatch " (127[.]0[.]0[.]1/32|::1/128|samehost) +scram-sha-256$" .)) -}}
{{- fail (printf "postgresql.hba[%d]: %q lets somebody in without TLS, and tls.required is true. Begin the line with hostssl, or set tls.required to false." $number .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
