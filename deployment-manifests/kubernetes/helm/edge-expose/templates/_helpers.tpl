{{/* Name of cluster-wide objects: one release a namespace. */}}
{{- define "edge-expose.clusterName" -}}
edge-expose-{{ .Release.Namespace }}
{{- end }}

{{/* An image by digest, else by tag, else by the chart's appVersion. */}}
{{- define "edge-expose.image" -}}
{{- $image := .image -}}
{{- if not $image.repository -}}
{{- fail (printf "set %s.image.repository to the image in a registry of yours: no public registry has it" .of) -}}
{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* A guard rail as the module reads it: a list is joined with commas. */}}
{{- define "edge-expose.rail" -}}
{{- if kindIs "slice" . -}}
{{- $texts := list -}}
{{- range . -}}{{- $texts = append $texts (toString .) -}}{{- end -}}
{{ join "," $texts }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end }}

{{/* What the module may do with the Services of a namespace. */}}
{{- define "edge-expose.serviceRules" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# For exposures of addresses outside the cluster; core/v1 Endpoints are needed below Kubernetes 1.21 only.
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods, events]
  verbs: [get, list, watch]
{{- end }}

{{/* The module's account, as the subject of a binding. */}}
{{- define "edge-expose.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: edge-expose
    namespace: {{ .Release.Namespace }}
{{- end }}
