{{- /* Addresses that follow from names and values: who is reached where. */}}

{{- define "atoll.url.public" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl -}}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{- printf "%s://%s/" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host -}}
{{- else -}}
{{- $scheme := ternary "https" "http" (ne .Values.proxy.tlsSecret "") -}}
{{- $usual := ternary 443 80 (eq $scheme "https") -}}
{{- $port := int .Values.proxy.service.port -}}
{{- printf "%s://%s%s/" $scheme (include "atoll.host.proxy" .) (ternary "" (printf ":%d" $port) (eq $port $usual)) -}}
{{- end -}}
{{- end -}}

{{- define "atoll.url.hub" -}}http://{{ include "atoll.host.hub" . }}:8081{{- end -}}
{{- define "atoll.url.service" -}}http://{{ include "atoll.host.service" . }}:8010/services/atoll/{{- end -}}
{{- define "atoll.url.proxyApi" -}}
{{- .Values.proxy.apiUrl | default (printf "http://%s.%s:8001" (include "atoll.name.proxyApi" .) .Release.Namespace) -}}
{{- end -}}

{{- /* The registry as agents and the service reach it, and as nodes name it in images. */}}
{{- define "atoll.registry.address" -}}
{{- if .Values.registry.enabled -}}{{ include "atoll.host.registryLong" . }}:5000{{- else -}}{{ .Values.registry.address }}{{- end -}}
{{- end -}}
{{- define "atoll.registry.pullAddress" -}}
{{- if .Values.registry.pullAddress -}}
{{- .Values.registry.pullAddress -}}
{{- else if and .Values.registry.enabled .Values.registry.ingress.enabled -}}
{{- .Values.registry.ingress.host -}}
{{- else -}}
{{- include "atoll.registry.address" . -}}
{{- end -}}
{{- end -}}

{{- /* Whether the agents tell their node where the registry is: "true", or empty. */}}
{{- define "atoll.registry.nodesSetUp" -}}
{{- if and .Values.registry.enabled .Values.registry.nodes.setUp .Values.agents.enabled (eq (include "atoll.registry.pullAddress" .) (include "atoll.registry.address" .)) -}}true{{- end -}}
{{- end -}}

{{- /* Whether the platform issues the registry's tokens. */}}
{{- define "atoll.registry.issuing" -}}
{{- if or .Values.registry.enabled .Values.registry.issuedTokens -}}true{{- end -}}
{{- end -}}

{{- /* Where nodes get the tokens that they pull with, as nodes reach it. */}}
{{- define "atoll.registry.realm" -}}
{{- if .Values.registry.realm -}}
{{- .Values.registry.realm -}}
{{- else if include "atoll.registry.nodesSetUp" . -}}
{{- printf "http://%s:8010/services/atoll/registry/token" (include "atoll.host.serviceLong" .) -}}
{{- else -}}
{{- printf "%sservices/atoll/registry/token" (include "atoll.url.public" .) -}}
{{- end -}}
{{- end -}}

{{- /* Whether pods trust a certificate of ours beside the system's: "true", or empty. */}}
{{- define "atoll.registry.trusted" -}}
{{- if or .Values.registry.enabled .Values.registry.ca -}}true{{- end -}}
{{- end -}}

{{- /* Which database: own (the chart's), external (a URL), or sqlite. */}}
{{- define "atoll.database" -}}
{{- if .Values.postgres.enabled -}}own{{- else if or .Values.database.url .Values.database.existingSecret.name -}}external{{- else -}}sqlite{{- end -}}
{{- end -}}
