{{- /* What the schema cannot say: values that do not go together stop the installation, by name. */}}
{{- define "atoll.checks" -}}
{{- $v := .Values -}}
{{- if and $v.postgres.enabled (or $v.database.url $v.database.existingSecret.name) -}}
  {{- fail "postgres.enabled: set it to false where database.url or database.existingSecret names a database of your own." -}}
{{- end -}}
{{- if and $v.database.url $v.database.existingSecret.name -}}
  {{- fail "database.url: leave it empty where database.existingSecret holds the URL." -}}
{{- end -}}
{{- if and (gt (int $v.service.replicas) 1) (eq (include "atoll.database" .) "sqlite") -}}
  {{- fail "service.replicas: SQLite has room for one; use postgres.enabled or database.url for more." -}}
{{- end -}}
{{- if and (gt (int $v.service.replicas) 1) (not (has "ReadWriteMany" $v.service.storage.accessModes)) -}}
  {{- fail "service.storage.accessModes: more than one replica of the service needs ReadWriteMany." -}}
{{- end -}}
{{- if and (not $v.registry.enabled) (not $v.registry.address) -}}
  {{- fail "registry.address: name your registry, or set registry.enabled; without one nothing that users install can be saved." -}}
{{- end -}}
{{- if and $v.registry.enabled $v.registry.address -}}
  {{- fail "registry.address: it is your own registry's; set registry.enabled to false to use it." -}}
{{- end -}}
{{- if and $v.registry.enabled (not (include "atoll.registry.nodesSetUp" .)) (eq (include "atoll.registry.pullAddress" .) (include "atoll.registry.address" .)) -}}
  {{- fail "registry.pullAddress: nodes do not resolve the names of Services. Say under which name they reach the registry, or set registry.nodes.setUp and agents.enabled." -}}
{{- end -}}
{{- if and $v.registry.ingress.enabled (not $v.registry.ingress.host) -}}
  {{- fail "registry.ingress.host: an ingress needs the name that nodes pull by." -}}
{{- end -}}
{{- if and (not $v.proxy.enabled) (not $v.proxy.apiUrl) -}}
  {{- fail "proxy.apiUrl: where proxy.enabled is false, say where your proxy's API is." -}}
{{- end -}}
{{- if and $v.secrets.existing (include "atoll.registry.issuing" .) (not $v.registry.pullSecret) (not (include "atoll.secrets.one" (dict "root" . "name" "registry-puller"))) -}}
  {{- fail "registry.pullSecret: with secrets.existing, and no cluster to read it from, name a Secret in the servers' and jobs' namespaces with which nodes pull." -}}
{{- end -}}
{{- if and $v.secrets.existingTls (not $v.secrets.existingCa) -}}
  {{- fail "secrets.existingCa: give the certificate (PEM) that secrets.existingTls is signed by." -}}
{{- end -}}
{{- $hub := get $v.settings "hub" | default dict -}}
{{- $storage := get $hub "storage" | default dict -}}
{{- $kind := get $storage "kind" | default "dynamic" -}}
{{- if and (has $kind (list "existing" "nfs")) (not (get $storage "claim")) -}}
  {{- fail (printf "settings.hub.storage.claim: homes of kind %s need a claim in the servers' namespace; storage.nfs makes one for an export." $kind) -}}
{{- end -}}
{{- $paths := dict "settings.hub.storage.sub_path" (get $storage "sub_path" | default "homes/{username}") -}}
{{- if not (contains "{username}" (get $paths "settings.hub.storage.sub_path")) -}}
  {{- fail "settings.hub.storage.sub_path: it must contain {username}, or all users would share a home." -}}
{{- end -}}
{{- range $name, $share := get $storage "shares" | default dict -}}
  {{- if not (or (has $kind (list "existing" "nfs")) (get $share "claim")) -}}
    {{- fail (printf "settings.hub.storage.shares.%s.claim: name a claim in the servers' namespace; homes of kind %s have none that it could be in." $name $kind) -}}
  {{- end -}}
  {{- $_ := set $paths (printf "settings.hub.storage.shares.%s.path" $name) (get $share "path" | default "") -}}
{{- end -}}
{{- $options := dict "settings.hub" (get $hub "kubespawner") -}}
{{- range $name, $profile := get $hub "profiles" | default dict -}}
  {{- $_ := set $options (printf "settings.hub.profiles.%s" $name) (get $profile "kubespawner") -}}
  {{- range $volume, $one := get $profile "volumes" | default dict -}}
    {{- $_ := set $paths (printf "settings.hub.profiles.%s.volumes.%s.path" $name $volume) (get $one "path" | default "") -}}
  {{- end -}}
{{- end -}}
{{- range $name, $path := $paths -}}
  {{- if has ".." (splitList "/" $path) -}}
    {{- fail (printf "%s: it must not lead out of the volume." $name) -}}
  {{- end -}}
{{- end -}}
{{- range $where, $values := $options -}}
  {{- if get ($values | default dict) "enable_user_namespaces" -}}
    {{- fail (printf "%s.kubespawner.enable_user_namespaces: leave it out; pods are watched, saved and protected in one namespace." $where) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $_ := get (get $v.settings "jobs" | default dict) "variables" | default dict -}}
  {{- if hasPrefix "ATOLL_" $name -}}
    {{- fail (printf "settings.jobs.variables.%s: what begins with ATOLL_ is the platform's own." $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name, $export := $v.storage.nfs -}}
  {{- if not (and $export.server $export.path) -}}
    {{- fail (printf "storage.nfs.%s: an export needs server and path." $name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
