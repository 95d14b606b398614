{{- define "tandem.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "tandem.labels" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{/* Where the servers are: every service reads these. */}}
{{- define "tandem.stores" -}}
{{- range $name, $key := dict "TANDEM_NATS_URL" "nats-url" "TANDEM_POSTGRES_DSN" "postgres-dsn" "TANDEM_CLICKHOUSE_DSN" "clickhouse-dsn" }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $.root.Values.existingSecret }}, key: {{ $key }}}
{{- end }}
{{- end }}

{{- define "tandem.env" -}}
{{- $own := index .root.Values .service -}}
- name: TANDEM_NODE
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: TANDEM_DATA_DIR
  value: /data
- name: TANDEM_OPS_ADDRESS
  value: "0.0.0.0:{{ $own.opsPort }}"
- name: TANDEM_GRPC_ADDRESS
  value: "0.0.0.0:{{ $own.grpcPort }}"
- name: TANDEM_LOG_LEVEL
  value: {{ .root.Values.logLevel | quote }}
- name: TANDEM_OTLP_ENDPOINT
  value: {{ .root.Values.otlpEndpoint | quote }}
- name: TANDEM_TRACE_RATIO
  value: {{ .root.Values.traceRatio | quote }}
- name: TANDEM_STREAM_REPLICAS
  value: {{ .root.Values.streamReplicas | quote }}
{{ include "tandem.stores" . }}
{{- end }}

{{- define "tandem.sip" -}}
{{- /* Where signaling listens: as listed, else UDP and TCP and what else has a port. */ -}}
{{- $entries := list (printf "$(HOST_IP):%d" (int .sipPort)) }}
{{- range $transport, $port := dict "tls" .tlsPort "ws" .wsPort "wss" .wssPort }}
{{- if $port }}
{{- $entries = append $entries (printf "%s:$(HOST_IP):%d" $transport (int $port)) }}
{{- end }}
{{- end }}
{{- join "," (.listeners | default $entries) }}
{{- end }}

{{- define "tandem.address" -}}
{{ .root.Release.Name }}-{{ .service }}.{{ .root.Release.Namespace }}.svc:{{ (index .root.Values .service).grpcPort }}
{{- end }}

{{- define "tandem.addresses" -}}
{{- /* Each pod of a StatefulSet by name. */ -}}
{{- $own := index .root.Values .service }}
{{- $name := printf "%s-%s" .root.Release.Name .service }}
{{- $addresses := list }}
{{- range $number := until (int $own.replicas) }}
{{- $addresses = append $addresses (printf "%s-%d.%s.%s.svc:%d" $name $number $name $.root.Release.Namespace (int $own.grpcPort)) }}
{{- end }}
{{- join "," $addresses }}
{{- end }}

{{- define "tandem.probes" -}}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 3
livenessProbe:
  httpGet: {path: /livez, port: ops}
  initialDelaySeconds: 10
  periodSeconds: 10
  failureThreshold: 6
{{- end }}

{{- define "tandem.security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  capabilities: {drop: [ALL]}
{{- end }}
