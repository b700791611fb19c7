{{- /* The platform's secrets: made at the first installation, and kept over upgrades.

They are made once for a rendering and put into `.Values.made`, since several objects hold the same. */}}

{{- /* Which program gets which: no program holds a secret that it does not use. */}}
{{- define "atoll.secrets.hub" -}}
service-token hub-token culler-token cookie-secret proxy-token password admin-password
{{- end -}}
{{- define "atoll.secrets.service" -}}
service-token job-tokens hold-tokens registry-token registry-token.crt registry-puller
{{- end -}}

{{- define "atoll.secrets.load" -}}
{{- if not (hasKey .Values "made") -}}
  {{- $found := lookup "v1" "Secret" .Release.Namespace (include "atoll.name.secrets" .) -}}
  {{- $kept := (default dict $found).data | default dict -}}
  {{- $made := dict -}}
  {{- range $name, $value := $kept -}}
    {{- $_ := set $made $name ($value | b64dec) -}}
  {{- end -}}
  {{- if not .Values.secrets.existing -}}
    {{- range (list "service-token" "hub-token" "culler-token" "cookie-secret" "proxy-token" "job-tokens" "hold-tokens" "registry-http") -}}
      {{- if not (hasKey $made .) -}}
        {{- $_ := set $made . (printf "%x" (randBytes 32 | b64dec)) -}}
      {{- end -}}
    {{- end -}}
    {{- range $name, $length := (dict "password" 16 "admin-password" 32 "registry-puller" 32 "postgres-password" 32) -}}
      {{- if not (hasKey $made $name) -}}
        {{- $_ := set $made $name (randAlphaNum $length) -}}
      {{- end -}}
    {{- end -}}
    {{- /* what the registry believes tokens by: an EC key with a certificate of its own */ -}}
    {{- if not (and (hasKey $made "registry-token") (hasKey $made "registry-token.crt")) -}}
      {{- $key := genPrivateKey "ecdsa" -}}
      {{- $own := genCAWithKey "atoll registry tokens" 7300 $key -}}
      {{- $_ := set $made "registry-token" (printf "%s%s" $own.Key $own.Cert) -}}
      {{- $_ := set $made "registry-token.crt" $own.Cert -}}
    {{- end -}}
    {{- with .Values.database.url -}}
      {{- $_ := set $made "database-url" . -}}
    {{- else -}}
      {{- $_ := unset $made "database-url" -}}
    {{- end -}}
  {{- end -}}
  {{- $_ := set .Values "made" $made -}}
{{- end -}}
{{- end -}}

{{- define "atoll.secrets.one" -}}
{{- include "atoll.secrets.load" .root -}}
{{- index .root.Values.made .name | default "" -}}
{{- end -}}

{{- define "atoll.secrets.checksum" -}}
{{- include "atoll.secrets.load" . -}}
{{- include "atoll.tls.load" . -}}
{{- toJson (list .Values.made .Values.madeTls) | sha256sum -}}
{{- end -}}

{{- /* Certificates inside of the cluster, made anew only where the names in them have changed. */}}
{{- define "atoll.tls.names" -}}
{{- $service := include "atoll.name.service" . -}}
{{- $registry := include "atoll.name.registry" . -}}
{{- $in := .Release.Namespace -}}
{{- dict
  "service" (list $service (printf "%s.%s" $service $in) (printf "%s.%s.svc" $service $in) (include "atoll.host.serviceLong" .))
  "registry" (list $registry (printf "%s.%s" $registry $in) (printf "%s.%s.svc" $registry $in) (include "atoll.host.registryLong" .))
  "serviceIps" (compact (list .Values.service.clusterIp))
  "registryIps" (compact (list .Values.registry.clusterIp))
| toJson -}}
{{- end -}}

{{- define "atoll.tls.load" -}}
{{- if not (hasKey .Values "madeTls") -}}
  {{- $names := include "atoll.tls.names" . -}}
  {{- $found := default dict (lookup "v1" "Secret" .Release.Namespace (include "atoll.name.tls" .)) -}}
  {{- $made := dict -}}
  {{- range $name, $value := ($found.data | default dict) -}}
    {{- $_ := set $made $name ($value | b64dec) -}}
  {{- end -}}
  {{- if .Values.secrets.existingTls -}}
    {{- $_ := set $made "ca.crt" .Values.secrets.existingCa -}}
  {{- else if ne (get $made "names") $names -}}
    {{- $ca := genCAWithKey (printf "%s inside of the cluster" (include "atoll.name" .)) 3650 (genPrivateKey "ecdsa") -}}
    {{- $made = dict "names" $names "ca.crt" $ca.Cert -}}
    {{- $all := fromJson $names -}}
    {{- range (list "service" "registry") -}}
      {{- $own := genSignedCertWithKey (last (get $all .)) (get $all (printf "%sIps" .)) (get $all .) 3650 $ca (genPrivateKey "ecdsa") -}}
      {{- $_ := set $made (printf "%s.crt" .) $own.Cert -}}
      {{- $_ := set $made (printf "%s.key" .) $own.Key -}}
    {{- end -}}
  {{- end -}}
  {{- $_ := set .Values "madeTls" $made -}}
{{- end -}}
{{- end -}}

{{- define "atoll.tls.ca" -}}
{{- include "atoll.tls.load" . -}}
{{- get .Values.madeTls "ca.crt" -}}
{{- end -}}

{{- /* What pods trust beside the system's certificates. */}}
{{- define "atoll.trust" -}}
{{- include "atoll.tls.ca" . }}{{ with .Values.registry.ca }}
{{ . }}{{ end -}}
{{- end -}}

{{- /* Logins as Docker's configuration has them. */}}
{{- define "atoll.logins" -}}
{{- $auths := dict -}}
{{- range $host, $login := .Values.images.logins -}}
  {{- $_ := set $auths $host (dict "username" $login.username "password" $login.password "auth" (printf "%s:%s" $login.username $login.password | b64enc)) -}}
{{- end -}}
{{- toJson $auths -}}
{{- end -}}

{{- define "atoll.secrets.docker" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels: {{ include "atoll.labels" (dict "root" .root "component" "secrets") | nindent 4 }}
type: kubernetes.io/dockerconfigjson
data:
  .dockerconfigjson: {{ dict "auths" .auths | toJson | b64enc }}
{{- end -}}
