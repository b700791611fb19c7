{{- /* What several objects have in common. */}}

{{- define "atoll.labels.select" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "atoll.labels" -}}
{{ include "atoll.labels.select" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What a pod runs as: all that PodSecurity `restricted` asks. (dict "root" . "user" 1000) */}}
{{- define "atoll.pod.security" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.podSecurity.seLinuxOptions }}
seLinuxOptions: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "atoll.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Where a pod may run. (dict "root" . "part" .Values.hub) */}}
{{- define "atoll.pod.placing" -}}
{{- $logins := .root.Values.images.pullSecrets }}
{{- if .root.Values.images.logins }}{{ $logins = append $logins (include "atoll.name.login" .root) }}{{ end }}
{{- with $logins }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .part.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "atoll.pod.labels" -}}
{{ include "atoll.labels" . }}
{{- with .part.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* A program is started again when what it reads at its start has changed. */}}
{{- define "atoll.pod.annotations" -}}
checksum/settings: {{ include "atoll.settings" .root | sha256sum }}
checksum/secrets: {{ include "atoll.secrets.checksum" .root }}
{{- with .part.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* ATOLL_HOME belongs to the program, with the settings and its secrets in it. */}}
{{- define "atoll.home.init" -}}
- name: home
  image: {{ .image }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  # the volume is root's, and a program closes its home to others: so it is a directory of its own in it
  command: [sh, -c, "mkdir -p /volume/home/secrets /volume/home/hub && chmod 700 /volume/home{{ if .trust }} && cat /etc/ssl/certs/ca-certificates.crt /trust/ca.crt >/volume/home/trusted.crt{{ end }}"]
  securityContext: {{ include "atoll.container.security" . | nindent 4 }}
  resources: {{ toJson .part.resources }}
  volumeMounts:
    - {name: home, mountPath: /volume}
    {{- if .trust }}
    - {name: trust, mountPath: /trust, readOnly: true}
    {{- end }}
{{- end -}}

{{- define "atoll.home.mounts" -}}
- {name: home, mountPath: /srv/atoll, subPath: home}
- {name: settings, mountPath: /srv/atoll/atoll.toml, subPath: atoll.toml, readOnly: true}
- {name: secrets, mountPath: /srv/atoll/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- /* (dict "root" . "storage" .Values.hub.storage "claim" "NAME" "secrets" (list …) "trust" bool) */}}
{{- define "atoll.home.volumes" -}}
- name: home
  {{- if .storage.enabled }}
  persistentVolumeClaim: {claimName: {{ .claim }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: settings
  configMap: {name: {{ include "atoll.name.settings" .root }}}
- name: secrets
  secret:
    secretName: {{ include "atoll.name.secrets" .root }}
    defaultMode: 0440
    items:
      {{- range .secrets }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
- name: tmp
  emptyDir: {}
{{- if .trust }}
- name: trust
  configMap: {name: {{ include "atoll.name.trust" .root }}}
{{- end }}
{{- end -}}

{{- /* A claim that stays when the release is uninstalled. */}}
{{- define "atoll.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .claim }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{ include "atoll.labels" . | nindent 4 }}
  annotations: {helm.sh/resource-policy: keep}
spec: {{ include "atoll.claim.spec" . | nindent 2 }}
{{- end -}}

{{- define "atoll.claim.spec" -}}
accessModes: {{ toJson .storage.accessModes }}
{{- with .storage.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources: {requests: {storage: {{ .storage.size }}}}
{{- end -}}

{{- /* The node's directories that an agent needs, at the same paths as on the node. */}}
{{- define "atoll.agent.paths" -}}
{{- $v := .Values.agents -}}
{{- list (dir $v.containerdSocket) $v.containerdState $v.containerdRoot $v.state | uniq | toJson -}}
{{- end -}}

{{- /* The images of the profiles, each once. */}}
{{- define "atoll.prePuller.images" -}}
{{- $settings := include "atoll.settings" . | fromToml -}}
{{- $images := list $settings.hub.image $settings.jobs.image -}}
{{- range $_, $profile := $settings.hub.profiles -}}
  {{- $images = append $images (get $profile "image") -}}
  {{- range $_, $choice := (get $profile "images" | default dict) -}}
    {{- $images = append $images $choice.image -}}
  {{- end -}}
{{- end -}}
{{- concat $images .Values.prePuller.images | compact | uniq | toJson -}}
{{- end -}}
