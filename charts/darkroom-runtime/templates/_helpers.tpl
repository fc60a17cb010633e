{{/* Name of the objects: the release's, so that two runtimes never share one. */}}
{{- define "runtime.fullname" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of what belongs to no namespace: that of the namespace and the release, so that two never share one. Where the
two could be told apart no more, by their hash too. Takes a dict of namespace and release. */}}
{{- define "runtime.clusterName" -}}
{{- $plain := printf "%s-%s" .namespace .release -}}
{{- if or (contains "-" .namespace) (gt (len $plain) 50) -}}
{{- printf "%s-%s" ($plain | trunc 41 | trimSuffix "-") (printf "%s/%s" .namespace .release | sha256sum | trunc 8) -}}
{{- else -}}
{{- $plain -}}
{{- end -}}
{{- end -}}

{{/* Name of the runtime, as requests give it. */}}
{{- define "runtime.name" -}}
{{- .Values.global.runtime | default .Release.Name -}}
{{- end -}}

{{/* The nodes that the pods run on, those of this release or of another one; their NodePool's name has -gpu behind it. */}}
{{- define "runtime.nodes" -}}
{{- $release := .Values.karpenter.nodePool | default .Release.Name -}}
{{- $namespace := .Values.karpenter.nodePool | empty | ternary "" .Values.karpenter.nodePoolNamespace | default .Release.Namespace -}}
{{- include "runtime.clusterName" (dict "namespace" $namespace "release" $release) -}}
{{- end -}}

{{/* Whether this release makes nodes. */}}
{{- define "nodes.made" -}}
{{- if and .Values.karpenter.enabled (not .Values.karpenter.nodePool) -}}
true
{{- end -}}
{{- end -}}

{{/* Seconds: for the agent's task and giving it back; for the pod, which ends the runtime too; for the node. */}}
{{- define "grace.agent" -}}
{{- add .Values.runtime.queueAgent.taskTimeoutSeconds 10 -}}
{{- end -}}
{{- define "grace.pod" -}}
{{- add .Values.runtime.queueAgent.taskTimeoutSeconds 30 -}}
{{- end -}}
{{- define "grace.node" -}}
{{- $said := .Values.karpenter.provisioner.disruption.terminationGracePeriod -}}
{{- if $said -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+[hms]" $said -1 -}}
{{- $unit := get (dict "h" 3600 "m" 60 "s" 1) (regexFind "[hms]" .) -}}
{{- $seconds = add $seconds (mul (regexFind "[0-9]+" . | int) $unit) -}}
{{- end -}}
{{- if lt (int $seconds) (int (add .Values.runtime.queueAgent.taskTimeoutSeconds 30)) -}}
{{- fail (printf "karpenter.provisioner.disruption.terminationGracePeriod, %s, would cut tasks off: runtime.queueAgent.taskTimeoutSeconds is %d, so it must be at least %ds" $said (int .Values.runtime.queueAgent.taskTimeoutSeconds) (int (add .Values.runtime.queueAgent.taskTimeoutSeconds 30))) -}}
{{- end -}}
{{- $said -}}
{{- else -}}
{{- printf "%ds" (int (add .Values.runtime.queueAgent.taskTimeoutSeconds 90)) -}}
{{- end -}}
{{- end -}}

{{/* What this release's nodes are there for: one runtime, or whoever names the pool. */}}
{{- define "nodes.owner" -}}
{{- .Values.runtime.enabled | ternary "runtime" "node-pool" -}}
{{- end -}}

{{- define "runtime.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "runtime.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "runtime.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- if .Values.runtime.enabled }}
darkroom/runtime-type: {{ .Values.runtime.type | quote }}
{{- end }}
{{- with .Values.runtime.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The adapter that the agent speaks to the runtime with. */}}
{{- define "runtime.adapter" -}}
{{- .Values.runtime.queueAgent.runtimeType | default (eq .Values.runtime.type "diffusers" | ternary "sdwebui" .Values.runtime.type) -}}
{{- end -}}

{{/* An image reference; a digest pins it. */}}
{{- define "runtime.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{/* The runtime's image: the user's, or the sample of its type. */}}
{{- define "runtime.inferenceImage" -}}
{{- $image := .Values.runtime.inferenceApi.image -}}
{{- $samples := dict "sdwebui" "public.ecr.aws/bingjiao/sd-on-eks/sdwebui" "comfyui" "public.ecr.aws/bingjiao/sd-on-eks/comfyui" "diffusers" "darkroom/inference" -}}
{{- $repository := $image.repository | default (get $samples .Values.runtime.type) -}}
{{- if not $repository -}}
{{- fail (printf "runtime.inferenceApi.image.repository must be set for the runtime type %q" .Values.runtime.type) -}}
{{- end -}}
{{- include "runtime.image" (dict "repository" $repository "tag" $image.tag "digest" $image.digest) -}}
{{- end -}}

{{/* Extra environment variables: a map of texts, or a list of EnvVar. */}}
{{- define "runtime.extraEnv" -}}
{{- if kindIs "map" . -}}
{{- range $name, $value := . }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- else if . }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The path that says whether the runtime is ready. */}}
{{- define "runtime.readinessPath" -}}
{{- $paths := dict "sdwebui" "/sdapi/v1/memory" "comfyui" "/system_stats" -}}
{{- .Values.runtime.inferenceApi.readinessPath | default (get $paths (include "runtime.adapter" .)) | default "/" -}}
{{- end -}}

{{/* The arguments of the runtime. ComfyUI turns memory mapping off by a flag; SD Web UI has it in its config.json. */}}
{{- define "runtime.commandArguments" -}}
{{- $own := eq .Values.runtime.type "comfyui" | ternary "--disable-mmap" "" -}}
{{- printf "%s %s" $own .Values.runtime.inferenceApi.commandArguments | trim -}}
{{- end -}}

{{/* Whether traces are sent; the guide's schema also spells the key XRay. */}}
{{- define "runtime.tracing" -}}
{{- $agent := .Values.runtime.queueAgent -}}
{{- if hasKey $agent "XRay" -}}
{{- (get $agent "XRay").enabled -}}
{{- else -}}
{{- $agent.xray.enabled -}}
{{- end -}}
{{- end -}}

{{/* The agent's image; what is prepared before the runtime starts is done by it too. */}}
{{- define "runtime.agentImage" -}}
{{- $image := .Values.runtime.queueAgent.image -}}
{{- include "runtime.image" (dict "repository" $image.repository "tag" ($image.tag | default .Chart.AppVersion) "digest" $image.digest) -}}
{{- end -}}

{{/* The security context of the runtime's container. Whose image it is decides whether it may be root. */}}
{{- define "runtime.inferenceSecurityContext" -}}
{{- $own := regexMatch "(^|/)darkroom/(inference|sdwebui|comfyui)@?$" (regexReplaceAll "[:@][^/]*$" (include "runtime.inferenceImage" .) "") -}}
{{- $user := $own | ternary (dict "runAsNonRoot" true "runAsUser" 10001 "runAsGroup" 10001) dict -}}
{{- merge (dict) .Values.runtime.inferenceApi.securityContext $user | toYaml -}}
{{- end -}}

{{/* Neither a volume nor a claim can be changed once it is there, so other ones have another name. */}}
{{- define "runtime.modelsHash" -}}
{{- $source := omit .Values.runtime.persistence "labels" "annotations" -}}
{{- list .Values.global.awsRegion $source | toJson | sha256sum | trunc 8 -}}
{{- end -}}

{{- define "runtime.models" -}}
{{- printf "%s-models-%s" (include "runtime.fullname" .) (include "runtime.modelsHash" .) -}}
{{- end -}}

{{/* The volume belongs to no namespace. */}}
{{- define "runtime.volumeName" -}}
{{- $place := dict "namespace" .Release.Namespace "release" .Release.Name -}}
{{- printf "%s-models-%s" (include "runtime.clusterName" $place) (include "runtime.modelsHash" .) -}}
{{- end -}}

{{/* What the collector does: from the agent to X-Ray, and nothing else. Local mode asks no instance for its metadata. */}}
{{- define "runtime.traceCollector" -}}
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:4318
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: 192
    spike_limit_mib: 48
  batch:
    timeout: 1s
exporters:
  awsxray:
    region: {{ .Values.global.awsRegion }}
    local_mode: true
    indexed_attributes: [darkroom.task_id, darkroom.runtime, darkroom.outcome]
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [awsxray]
{{- end -}}

{{- define "runtime.claimName" -}}
{{- .Values.runtime.persistence.existingClaim | default (include "runtime.models" .) -}}
{{- end -}}

{{- define "runtime.usesBucket" -}}
{{- $persistence := .Values.runtime.persistence -}}
{{- if and $persistence.enabled $persistence.s3.enabled (not $persistence.existingClaim) (not $persistence.existingVolume) -}}
true
{{- end -}}
{{- end -}}

{{/* A volume as EC2 takes it: throughput is gp3's alone. */}}
{{- define "nodes.volume" -}}
{{- eq .volumeType "gp3" | ternary . (omit . "throughput") | toYaml -}}
{{- end -}}
