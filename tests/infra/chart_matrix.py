"""The value sets that the chart is tested with: each runtime type, each option, and pools of nodes."""

from __future__ import annotations

from tests.infra.chart import node_values_for, pod_values_for, pool_values_for, values_for

GUIDE_EXTRA = """\
  extraValues:
    runtime:
      labels: {team: pictures}
      inferenceApi:
        image: {repository: example.com/sdwebui, tag: latest}
        extraEnv: {HTTPS_PROXY: "http://proxy:3128"}
        commandArguments: "--xformers"
        resources: {limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: "1", cpu: 2500m, memory: 6Gi}}
      queueAgent:
        image: {repository: example.com/queue-agent, tag: latest}
        extraEnv: [{name: DARKROOM_LOG_LEVEL, value: DEBUG}]
        XRay: {enabled: false}
      scaling:
        {queueLength: 10, minReplicaCount: 0, maxReplicaCount: 5, cooldownPeriod: 300, pollingInterval: 1,
         scaleOnInFlight: false, extraHPAConfig: {scaleDown: {stabilizationWindowSeconds: 60}}}
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        tags: {cost: pictures}
        securityGroupSelector: {purpose: gpu}
        subnetSelector: {purpose: gpu}
        osVolume: {volumeSize: 20Gi, volumeType: gp3, deleteOnTermination: true, iops: 3000, throughput: 125}
        dataVolume: {volumeSize: 200Gi, snapshotID: snap-0123456789}
        userData: |
          [settings.kernel.sysctl]
          "vm.max_map_count" = "262144"
      provisioner:
        labels: {pool: gpu}
        instanceType: [g5.xlarge, g5.2xlarge]
        capacityType: {onDemand: true, spot: true}
        extraRequirements: [{key: topology.kubernetes.io/zone, operator: In, values: [us-west-2a]}]
        extraTaints: [{key: pictures, effect: NoSchedule}]
        resourceLimits: {nvidia.com/gpu: 10, cpu: "100", memory: 1000Gi}
        consolidation: true
        disruption: {consolidateAfter: 30s, expireAfter: 720h}
"""
SDWEBUI = "- {name: sdruntime, namespace: sd, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}"
COMFYUI = "- {name: workflows, namespace: sd, type: comfyui}"
IN_PLACE = "- {name: sdruntime, type: sdwebui, extraValues: {runtime: {%s}}}"
OTHER_NODES = IN_PLACE % (
    "nodeSelector: {eks.amazonaws.com/nodegroup: gpus}, tolerations: [{key: team, operator: Exists}],"
    " inferenceApi: {resources: {limits: {nvidia.com/gpu: '2'}, requests: {nvidia.com/gpu: '2'}}}"
)
OTHER_NODES = OTHER_NODES.replace("extraValues: {", "extraValues: {karpenter: {enabled: false}, ")
MATRIX = {
    "sdwebui": SDWEBUI,
    "dynamic": "- {name: sdruntime, type: sdwebui, dynamicModel: true}",
    "comfyui": COMFYUI,
    "diffusers": "- {name: sdruntime, type: diffusers, modelFilename: a.safetensors}",
    "own type": "- {name: sdruntime, type: painter, taskTypes: [text-to-image], extraValues:"
    " {runtime: {inferenceApi: {image: {repository: example.com/painter}, readinessPath: /ready}}}}",
    "guide's extraValues": f"- name: sdruntime\n  type: sdwebui\n  modelFilename: a.safetensors\n{GUIDE_EXTRA}",
    "working hours": IN_PLACE
    % "scaling: {schedules: [{start: 0 8 * * 1-5, end: 0 18 * * 1-5, timezone: Europe/Berlin, replicas: 2}]}",
    "no scaling": IN_PLACE % "scaling: {enabled: false}, replicas: 3",
    "own claim": IN_PLACE % "persistence: {existingClaim: mine}",
    "own volume": IN_PLACE % "persistence: {existingVolume: mine, storageClass: '-'}",
    "no models": IN_PLACE % "persistence: {enabled: false}",
    "cache": IN_PLACE % "persistence: {s3: {cacheSize: 20Gi, prefix: sdxl/}}",
    "fallback": IN_PLACE % "scaling: {fallback: {failureThreshold: 3, replicas: 2, behavior: currentReplicasIfHigher}}",
    "short start": IN_PLACE % "inferenceApi: {startupSeconds: 1, faultSeconds: 5}",
    "bare": IN_PLACE % "networkPolicy: {enabled: false}, disruptionBudget: {enabled: false}",
    "scraped": IN_PLACE
    % "queueAgent: {metrics: {annotations: true, podMonitor: {enabled: true, labels: {release: mine}}}}",
    "other nodes": OTHER_NODES,
    "long tasks": IN_PLACE % "queueAgent: {taskTimeoutSeconds: 900}",
    "digest": IN_PLACE % f"queueAgent: {{image: {{digest: 'sha256:{'0' * 64}'}}}}",
}
POOL = """\
- name: shared
  instanceFamilies: [g5, g6]
  gpusPerNode: [1, 4]
  capacityType: {onDemand: false, spot: true}
  limits: {nvidia.com/gpu: 8, cpu: "64", memory: 500Gi}
  zones: [us-west-2a]
  volumeSize: 200Gi
  consolidateAfter: 5m
  expireAfter: 720h
  labels: {team: pictures}
  taints: [{key: pictures, value: only, effect: NoSchedule}]
  extraValues: {nodeTemplate: {tags: {cost: pictures}}}
"""
ON_POOL = "- {name: sdruntime, type: sdwebui, nodePool: shared}\nnodePools:\n" + POOL
VALUES = {
    **{name: values_for(runtime) for name, runtime in MATRIX.items()},
    "pods": pod_values_for(SDWEBUI),
    "nodes": node_values_for(SDWEBUI),
    "on a pool": values_for(ON_POOL),
    "pool": pool_values_for(POOL),
    "plain pool": pool_values_for("- {name: shared}"),
    "pool from a snapshot": pool_values_for("- {name: shared, snapshotID: snap-0123456789}"),
}
