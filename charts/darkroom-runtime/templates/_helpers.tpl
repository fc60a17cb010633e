{{/* Name of the objects: the release's, so that two runtimes never share one. */}}
{{- define "runtime.fullname" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the runtime, as requests give it. */}}
{{- define "runtime.name" -}}
{{- .Values.global.runtime | default .Release.Name -}}
{{- end -}}

{{/* The release whose nodes the pods run on: this one, or the pool that it shares with others. */}}
{{- define "runtime.nodePool" -}}
{{- .Values.karpenter.nodePool | default (include "runtime.fullname" .) -}}
{{- end -}}

{{/* What this release's nodes are there for: one runtime, or whoever names the pool. */}}
{{- define "nodes.owner" -}}
{{- .Values.runtime.enabled | ternary "runtime" "node-pool" -}}
{{- end -}}

{{- define "runtime.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "runtime.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "runtime.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
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
{{ .repository }}:{{ .tag }}
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
- name: {{ $name }}
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

{{/* The number of pods that Helm says: how many there are, where KEDA counts them; at first, how many there have to be. */}}
{{- define "runtime.replicas" -}}
{{- if .Values.runtime.scaling.enabled -}}
{{- $there := lookup "apps/v1" "Deployment" .Release.Namespace (include "runtime.fullname" .) -}}
{{- if $there -}}
{{- $there.spec.replicas -}}
{{- else -}}
{{- .Values.runtime.scaling.minReplicaCount -}}
{{- end -}}
{{- else -}}
{{- .Values.runtime.replicas -}}
{{- end -}}
{{- end -}}

{{/* Neither a volume nor a claim can be changed once it is there, so other ones have another name. */}}
{{- define "runtime.models" -}}
{{- $source := omit .Values.runtime.persistence "labels" "annotations" -}}
{{- printf "%s-models-%s" (include "runtime.fullname" .) (list .Values.global.awsRegion $source | toJson | sha256sum | trunc 8) -}}
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
