{{- /* The registry's configuration: TLS, and the platform as the issuer of its tokens. */}}
{{- define "atoll.registry.config.ours" -}}
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}  # or old checkpoints can never be removed
  maintenance:
    uploadpurging: {enabled: true, age: 24h, interval: 1h, dryrun: false}
http:
  addr: ":5000"
  tls: {certificate: /srv/tls/tls.crt, key: /srv/tls/tls.key}
auth:
  token:
    realm: {{ include "atoll.registry.realm" . }}
    service: registry
    issuer: atoll
    rootcertbundle: /srv/tls/tokens.crt
{{- end -}}
{{- define "atoll.registry.config" -}}
{{- $ours := include "atoll.registry.config.ours" . | fromYaml -}}
{{- if hasKey .Values.registry.config "storage" -}}
  {{- $_ := unset $ours "storage" -}}
{{- end -}}
{{- mergeOverwrite $ours (deepCopy .Values.registry.config) | toYaml -}}
{{- end -}}
