{{- /* Every name of the release's objects is made here, and nowhere else. */}}

{{- /* What all names begin with: release and chart, once where the release is named after the chart. */}}
{{- define "atoll.name" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "atoll.name.hub" -}}{{ include "atoll.name" . }}-hub{{- end -}}
{{- define "atoll.name.proxy" -}}{{ include "atoll.name" . }}-proxy{{- end -}}
{{- define "atoll.name.proxyApi" -}}{{ include "atoll.name" . }}-proxy-api{{- end -}}
{{- define "atoll.name.service" -}}{{ include "atoll.name" . }}-service{{- end -}}
{{- define "atoll.name.agent" -}}{{ include "atoll.name" . }}-agent{{- end -}}
{{- define "atoll.name.registry" -}}{{ include "atoll.name" . }}-registry{{- end -}}
{{- define "atoll.name.postgres" -}}{{ include "atoll.name" . }}-postgres{{- end -}}
{{- define "atoll.name.prePuller" -}}{{ include "atoll.name" . }}-pre-puller{{- end -}}
{{- define "atoll.name.test" -}}{{ include "atoll.name" . }}-test{{- end -}}

{{- define "atoll.name.settings" -}}{{ include "atoll.name" . }}-settings{{- end -}}
{{- define "atoll.name.trust" -}}{{ include "atoll.name" . }}-trust{{- end -}}
{{- define "atoll.name.secrets" -}}{{ .Values.secrets.existing | default (include "atoll.name" .) }}{{- end -}}
{{- define "atoll.name.tls" -}}{{ .Values.secrets.existingTls | default (printf "%s-tls" (include "atoll.name" .)) }}{{- end -}}
{{- define "atoll.name.pull" -}}{{ .Values.registry.pullSecret | default (printf "%s-pull" (include "atoll.name" .)) }}{{- end -}}

{{- define "atoll.name.login" -}}{{ include "atoll.name" . }}-login{{- end -}}

{{- define "atoll.namespace.servers" -}}{{ .Values.namespaces.servers | default (printf "%s-servers" (include "atoll.name" .)) }}{{- end -}}
{{- define "atoll.namespace.jobs" -}}{{ .Values.namespaces.jobs | default (printf "%s-jobs" (include "atoll.name" .)) }}{{- end -}}
{{- define "atoll.namespace.agents" -}}{{ .Values.namespaces.agents | default (printf "%s-agents" (include "atoll.name" .)) }}{{- end -}}

{{- /* Claims. */}}
{{- define "atoll.claim.hub" -}}{{ .Values.hub.storage.existingClaim | default (include "atoll.name.hub" .) }}{{- end -}}
{{- define "atoll.claim.service" -}}{{ .Values.service.storage.existingClaim | default (include "atoll.name.service" .) }}{{- end -}}

{{- /* Cluster-wide objects: their names hold the namespaces', since two releases may be called alike. */}}
{{- define "atoll.name.nodes" -}}{{ .Release.Namespace }}-{{ include "atoll.name" . }}-nodes{{- end -}}
{{- define "atoll.name.gpus" -}}{{ .Release.Namespace }}-{{ include "atoll.name" . }}-gpus{{- end -}}
{{- define "atoll.name.unsaved" -}}{{ include "atoll.namespace.servers" . }}-keep-unsaved{{- end -}}
{{- define "atoll.name.eviction" -}}{{ include "atoll.namespace.servers" . }}-evictions{{- end -}}
{{- define "atoll.name.volume" -}}{{ .namespace }}-{{ .name }}{{- end -}}

{{- /* Hosts inside of the cluster. The long one is what certificates and nodes' hosts files say. */}}
{{- define "atoll.host.hub" -}}{{ include "atoll.name.hub" . }}.{{ .Release.Namespace }}{{- end -}}
{{- define "atoll.host.proxy" -}}{{ include "atoll.name.proxy" . }}.{{ .Release.Namespace }}{{- end -}}
{{- define "atoll.host.service" -}}{{ include "atoll.name.service" . }}.{{ .Release.Namespace }}{{- end -}}
{{- define "atoll.host.serviceLong" -}}{{ include "atoll.name.service" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}{{- end -}}
{{- define "atoll.host.registryLong" -}}{{ include "atoll.name.registry" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}{{- end -}}

{{- /* Images: (dict "root" . "part" .Values.hub "name" "hub") */}}
{{- define "atoll.image" -}}
{{- .part.image | default (printf "%s/%s:%s" .root.Values.images.prefix .name (.root.Values.images.tag | default .root.Chart.AppVersion)) -}}
{{- end -}}
{{- define "atoll.image.own" -}}
{{- printf "%s/%s:%s" .root.Values.images.prefix .name (.root.Values.images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
