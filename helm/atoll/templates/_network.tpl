{{- /* Peers and ports of the network policies. */}}

{{- define "atoll.peer" -}}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}}
  podSelector:
    {{- if .component }}
    matchLabels: {{ include "atoll.labels.select" . | nindent 6 }}
    {{- else }} {}
    {{- end }}
{{- end -}}

{{- /* Parts of the platform in the release's namespace. (dict "root" . "parts" (list "hub" …)) */}}
{{- define "atoll.peers" -}}
{{- range .parts }}
{{ include "atoll.peer" (dict "root" $.root "namespace" $.root.Release.Namespace "component" .) }}
{{- end }}
{{- end -}}
{{- define "atoll.peers.servers" -}}
{{ include "atoll.peer" (dict "namespace" (include "atoll.namespace.servers" .root)) }}
{{- end -}}
{{- define "atoll.peers.jobs" -}}
{{ include "atoll.peer" (dict "namespace" (include "atoll.namespace.jobs" .root)) }}
{{- end -}}
{{- define "atoll.peers.agents" -}}
{{ include "atoll.peer" (dict "root" .root "namespace" (include "atoll.namespace.agents" .root) "component" "agent") }}
{{- end -}}

{{- /* Nodes and the API server are no pods: they are known by their addresses. */}}
{{- define "atoll.peers.nodes" -}}
{{- range .root.Values.networkPolicies.nodes }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}

{{- define "atoll.ports" -}}
ports:
  {{- range . }}
  - {protocol: TCP, port: {{ . }}}
  {{- end }}
{{- end -}}

{{- define "atoll.egress.dns" -}}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
  {{- with .root.Values.networkPolicies.dns }}
  to: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- /* The Kubernetes API: its Service's port, and what is behind it. */}}
{{- define "atoll.egress.api" -}}
- to: {{ include "atoll.peers.nodes" . | nindent 4 }}
  {{ include "atoll.ports" (list 443 6443) | nindent 2 }}
{{- end -}}

{{- define "atoll.egress.database" -}}
{{- if .root.Values.postgres.enabled }}
- to: {{ include "atoll.peers" (dict "root" .root "parts" (list "postgres")) | nindent 4 }}
  {{ include "atoll.ports" (list 5432) | nindent 2 }}
{{- end }}
{{- with .root.Values.networkPolicies.databases }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "atoll.egress.registry" -}}
{{- if .root.Values.registry.enabled }}
- to: {{ include "atoll.peers" (dict "root" .root "parts" (list "registry")) | nindent 4 }}
  {{ include "atoll.ports" (list 5000) | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Beyond the platform. (dict "root" . "reach" .Values.networkPolicies.servers) */}}
{{- define "atoll.egress.reach" -}}
{{- if .reach.internet }}
- to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fc00::/7", "fe80::/10"]}
{{- end }}
{{- with .reach.egress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "atoll.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels: {{ include "atoll.labels" (dict "root" .root "component" "network") | nindent 4 }}
{{- end -}}
