{{- /* (dict "root" . "component" "proxy" "ingress" .Values.ingress "service" "NAME" "port" "public") */}}
{{- define "atoll.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ .service }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{ include "atoll.labels" . | nindent 4 }}
  {{- with .ingress.annotations }}
  annotations: {{ toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      {{- with $.ingress.host }}
      hosts: [{{ . }}]
      {{- end }}
  {{- end }}
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: {{ .service }}, port: {name: {{ .port }}}}}
      {{- with .ingress.host }}
      host: {{ . }}
      {{- end }}
{{- end -}}
