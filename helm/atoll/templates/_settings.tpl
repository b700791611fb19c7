{{- /* atoll.toml: the operator's settings, and what follows from other values. */}}
{{- define "atoll.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $image := include "atoll.image.own" (dict "root" . "name" "singleuser") -}}
{{- $hub := get $settings "hub" | default dict -}}
{{- $jobs := get $settings "jobs" | default dict -}}
{{- $_ := set $hub "cull_after_s" (ternary (int .Values.culler.afterS) 0 .Values.culler.enabled) -}}
{{- $_ := set $hub "image" (get $hub "image" | default $image) -}}
{{- $_ := set $jobs "image" (get $jobs "image" | default (get $hub "image")) -}}
{{- $storage := get $hub "storage" | default dict -}}
{{- range $name, $share := get $storage "shares" | default dict -}}
  {{- /* an export has a claim of its name in the jobs' namespace too */}}
  {{- $claim := get $share "claim" | default (get $storage "claim") | default "" -}}
  {{- if and (hasKey $.Values.storage.nfs $claim) (not (hasKey $share "jobs_claim")) -}}
    {{- $_ := set $share "jobs_claim" $claim -}}
  {{- end -}}
{{- end -}}
{{- if not (get $hub "profiles") -}}
  {{- $_ := set $hub "profiles" (dict "standard" (dict "title" "Standard" "description" "JupyterLab with scientific Python." "cpu" 2 "memory" "4G" "cpu_guarantee" 0.25 "memory_guarantee" "1G")) -}}
{{- end -}}
{{- $_ := set $settings "hub" $hub -}}
{{- $_ := set $settings "jobs" $jobs -}}
{{- toToml $settings -}}
{{- end -}}

{{- /* "yes" where a profile, or a size of one, has GPUs; else nothing. */}}
{{- define "atoll.gpus" -}}
{{- $found := "" -}}
{{- range $profile := (get .Values.settings "hub" | default dict).profiles | default dict -}}
  {{- range prepend (values ($profile.sizes | default dict)) $profile -}}
    {{- if .gpu }}{{ $found = "yes" }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{- /* Environment variables that hub and service share: where things are in this cluster. */}}
{{- define "atoll.env.cluster" -}}
- {name: ATOLL_HOME, value: /srv/atoll}
- {name: HOME, value: /srv/atoll}
- {name: ATOLL_KUBERNETES__ENABLED, value: "true"}
- {name: ATOLL_KUBERNETES__SERVERS_NAMESPACE, value: {{ include "atoll.namespace.servers" . }}}
- {name: ATOLL_KUBERNETES__JOBS_NAMESPACE, value: {{ include "atoll.namespace.jobs" . }}}
- {name: ATOLL_KUBERNETES__SERVICE_URL, value: {{ include "atoll.url.service" . }}}
- {name: ATOLL_KUBERNETES__HOLD_IMAGE, value: {{ include "atoll.image.own" (dict "root" . "name" "hold") }}}
- {name: ATOLL_KUBERNETES__PULL_SECRET, value: {{ include "atoll.pullSecretName" . | quote }}}
- {name: ATOLL_REGISTRY__ADDRESS, value: {{ include "atoll.registry.address" . | quote }}}
- {name: ATOLL_REGISTRY__PULL_ADDRESS, value: {{ include "atoll.registry.pullAddress" . | quote }}}
{{- if not .Values.registry.enabled }}
- {name: ATOLL_REGISTRY__PLAIN_HTTP, value: {{ .Values.registry.plainHttp | quote }}}
{{- end }}
{{- if include "atoll.registry.issuing" . }}
- {name: ATOLL_REGISTRY__ISSUER, value: atoll}
- {name: ATOLL_REGISTRY__SERVICE, value: registry}
{{- end }}
{{- end -}}

{{- /* The URL of a database, with its password from a Secret. (dict "root" . "name" "atoll" "variable" "ATOLL_…") */}}
{{- define "atoll.env.database" -}}
- name: POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "atoll.name.secrets" .root }}, key: postgres-password}}
- name: {{ .variable }}
  value: postgresql+psycopg://atoll:$(POSTGRES_PASSWORD)@{{ include "atoll.name.postgres" .root }}.{{ .root.Release.Namespace }}:5432/{{ .name }}
{{- end -}}

{{- /* The name of the Secret with which nodes pull environments; empty where they need none. */}}
{{- define "atoll.pullSecretName" -}}
{{- if or .Values.registry.pullSecret (include "atoll.registry.issuing" .) .Values.images.logins -}}{{ include "atoll.name.pull" . }}{{- end -}}
{{- end -}}
