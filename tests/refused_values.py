"""Values of config.yaml that the deployment's API servers, EC2 or Helm would refuse, or that would never work.

Each is an entry of a runtime, or of a pool, and what the refusal must say of it: the key, and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml


class Wrong(NamedTuple):
    """`value` stands at the dotted `key` of a runtime's `extraValues`. `seen`: the API's published schemas see it."""

    kind: str
    key: str
    value: str
    reason: str
    seen: bool = False

    def parsed(self) -> Any:
        """The value as YAML has it; settings of Bottlerocket are a text."""
        return self.value if self.key.endswith("userData") else yaml.safe_load(self.value)

    def is_for(self, sections: Sequence[tuple[str, ...]]) -> bool:
        """Whether the key is in one of these sections."""
        keys = tuple(self.key.split("."))
        return any(keys[: len(section)] == section for section in sections)


_POOL = "karpenter.provisioner"
_NODES = "karpenter.nodeTemplate"
_SCALING = "runtime.scaling"
_EGRESS = "runtime.networkPolicy.extraEgress"
_RUNTIME = "runtime.inferenceApi"
_AGENT = "runtime.queueAgent"

REFUSED = [
    # NodePool
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 10%, schedule: '0 9 * * *'}]", "no duration"),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 10%, duration: 8h}]", "no schedule"),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 0, schedule: '@daily', duration: 8h}]", "nodes", True),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: '0', schedule: soon, duration: 8h}]", "5 fields", True),
    Wrong(
        "NodePool", f"{_POOL}.disruption.budgets", "[{nodes: '0', schedule: '0 25 * * *', duration: 8h}]", "hour, 25"
    ),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 10%, reasons: [Idle]}]", "'Empty', 'Drifted'", True),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 150%}]", "must match", True),
    Wrong("NodePool", f"{_POOL}.disruption.consolidateAfter", "soon", "must match", True),
    Wrong("NodePool", f"{_POOL}.labels", "{kubernetes.io/team: a}", "domain kubernetes.io"),
    Wrong("NodePool", f"{_POOL}.labels", "{karpenter.sh/nodepool: a}", "set by Karpenter itself"),
    Wrong("NodePool", f"{_POOL}.labels", "{team: my team}", "must match"),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: Lt, values: ['1', '2']}]", "one value"),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: In}]", "needs values"),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: Has, values: [b]}]", "'In', 'NotIn'", True),
    Wrong(
        "NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: In, values: [b], minValues: 2}]", "at least 2"
    ),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: In, values: [b], minValues: 0}]", "1", True),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: k8s.io/a, operator: Exists}]", "domain k8s.io"),
    Wrong("NodePool", f"{_POOL}.extraTaints", "[{key: a, effect: NoWay}]", "'NoSchedule', 'PreferNoSchedule'", True),
    Wrong("NodePool", f"{_POOL}.extraTaints", "[{effect: NoSchedule}]", "key is missing"),
    Wrong("NodePool", f"{_POOL}.extraTaints", "[{key: a, value: '', effect: NoSchedule}]", "at least 1"),
    Wrong("NodePool", f"{_POOL}.extraRequirements", "[{key: a, operator: Gte, values: ['1', '2']}]", "one value"),
    Wrong("NodePool", f"{_POOL}.resourceLimits", "{gpu: 1}", "did you mean nvidia.com/gpu?"),
    Wrong("NodePool", f"{_POOL}.capacityType", "{onDemand: false, spot: false}", "one of onDemand and spot"),
    Wrong("NodePool", f"{_POOL}.disruption.terminationGracePeriod", "2m", "at least 330s"),
    Wrong("NodePool", f"{_POOL}.labels", "{darkroom/node-pool: a}", "set by the deployment itself"),
    Wrong("NodePool", f"{_POOL}.extraTaints", "[{key: nvidia.com/gpu, effect: NoSchedule}]", "nvidia.com/gpu is set"),
    Wrong("NodePool", f"{_POOL}.labels", "{karpenter.sh/team: a}", "domain karpenter.sh"),
    Wrong("NodePool", f"{_POOL}.labels", "{karpenter.k8s.aws/team: a}", "domain karpenter.k8s.aws"),
    Wrong("NodePool", f"{_POOL}.labels", "{kubernetes.io/hostname: a}", "set by Karpenter itself"),
    Wrong("NodePool", f"{_POOL}.labels", f"{{team: {'a' * 64}}}", "must match"),
    Wrong("NodePool", f"{_POOL}.labels", f"{{{', '.join(f'a{n}: b' for n in range(101))}}}", "at most 100"),
    *(
        Wrong("NodePool", f"{_POOL}.extraRequirements", f"[{{key: {key}, operator: Exists}}]", reason)
        for key, reason in (
            ("karpenter.sh/team", "domain karpenter.sh"),
            ("karpenter.k8s.aws/team", "domain karpenter.k8s.aws"),
            ("karpenter.sh/nodepool", "set by Karpenter itself"),
            ("kubernetes.io/hostname", "set by Karpenter itself"),
            ("a" * 318, "at most 317"),
        )
    ),
    Wrong(
        "NodePool", f"{_POOL}.extraRequirements", f"[{', '.join(['{key: a, operator: Exists}'] * 101)}]", "at most 90"
    ),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", "[{nodes: 10%, reasons: [Empty, Empty]}]", "a reason twice"),
    Wrong(
        "NodePool",
        f"{_POOL}.disruption.budgets",
        f"[{{nodes: 10%, reasons: [{', '.join(['Empty'] * 51)}]}}]",
        "a reason twice",
        True,
    ),
    Wrong("NodePool", f"{_POOL}.disruption.budgets", f"[{', '.join(['{nodes: 10%}'] * 51)}]", "at most 50", True),
    # EC2NodeClass
    *(
        Wrong("EC2NodeClass", f"{_NODES}.tags", f"{{'{key}': a}}", reason)
        for key, reason in (
            ("", "at least 1"),
            ("karpenter.sh/nodepool", "Karpenter or AWS sets itself"),
            ("karpenter.sh/nodeclaim", "Karpenter or AWS sets itself"),
            ("karpenter.k8s.aws/ec2nodeclass", "Karpenter or AWS sets itself"),
            ("eks:eks-cluster-name", "Karpenter or AWS sets itself"),
        )
    ),
    *(
        Wrong("EC2NodeClass", f"{_NODES}.{key}", f"{{{', '.join(f'a{n}: b' for n in range(21))}}}", "at most 20")
        for key in ("subnetSelector", "securityGroupSelector")
    ),
    Wrong("EC2NodeClass", f"{_NODES}.osVolume", "{iops: 6000}", "gp3 of 10Gi has from 3000 to 5000"),
    Wrong("EC2NodeClass", f"{_NODES}.osVolume", "{throughput: 1000}", "needs iops of 4000: there are 3000"),
    Wrong("EC2NodeClass", f"{_NODES}.osVolume", "{volumeSize: 2Gi}", "leaves iops at 3000; gp3 of 2Gi has from 3000"),
    Wrong("EC2NodeClass", f"{_NODES}.dataVolume", "{volumeType: io1}", "io1 of 100Gi has from 100 to 5000"),
    Wrong("EC2NodeClass", f"{_NODES}.tags", "{stack: mine}", "set by the deployment itself"),
    Wrong("EC2NodeClass", f"{_NODES}.tags", "{'kubernetes.io/cluster/mine': owned}", "Karpenter or AWS sets itself"),
    Wrong("EC2NodeClass", f"{_NODES}.tags", "{'aws:name': a}", "Karpenter or AWS sets itself"),
    Wrong("EC2NodeClass", f"{_NODES}.subnetSelector", "{purpose: ''}", "at least 1"),
    Wrong("EC2NodeClass", f"{_NODES}.dataVolume", "{volumeInitializationRate: 50}", "greater than or equal to 100"),
    Wrong("EC2NodeClass", f"{_NODES}.dataVolume", "{volumeType: st1}", "'gp3', 'io1' or 'io2'"),
    Wrong("EC2NodeClass", f"{_NODES}.osVolume", "{volumeType: io2, throughput: 200}", "for gp3 alone"),
    Wrong("EC2NodeClass", f"{_NODES}.userData", "settings = ", "is not TOML"),
    Wrong("EC2NodeClass", f"{_NODES}.amiVersion", "1.2.3", "must match"),
    # ScaledObject, and the autoscaler that it makes
    Wrong("ScaledObject", f"{_SCALING}.fallback", "{replicas: 2}", "needs failureThreshold and replicas", True),
    Wrong("ScaledObject", f"{_SCALING}.fallback", "{failureThreshold: 3, replicas: 2, behavior: a}", "'static'", True),
    Wrong("ScaledObject", f"{_SCALING}.minReplicaCount", "21", "more than maxReplicaCount, 20"),
    Wrong("ScaledObject", f"{_SCALING}.cooldownPeriod", "0", "greater than or equal to 1"),
    Wrong("ScaledObject", f"{_SCALING}.pollingInterval", "'5'", "valid integer"),
    Wrong(
        "HorizontalPodAutoscaler",
        f"{_SCALING}.extraHPAConfig",
        "{scaleUp: {policies: [{type: Pod, value: 4, periodSeconds: 15}]}}",
        "'Pods' or 'Percent'",
    ),
    Wrong(
        "HorizontalPodAutoscaler",
        f"{_SCALING}.extraHPAConfig",
        "{scaleUp: {policies: [{type: Pods, value: 0, periodSeconds: 15}]}}",
        "greater than or equal to 1",
    ),
    Wrong(
        "HorizontalPodAutoscaler",
        f"{_SCALING}.extraHPAConfig",
        "{scaleDown: {stabilizationWindowSeconds: 7200}}",
        "less than or equal to 3600",
    ),
    Wrong("HorizontalPodAutoscaler", f"{_SCALING}.extraHPAConfig", "{scaledown: {}}", "did you mean scaleDown?", True),
    # Deployment
    Wrong("Deployment", f"{_RUNTIME}.resources", "{limits: {nvidia.com/gpu: '0.5'}}", "must match"),
    Wrong("Deployment", f"{_RUNTIME}.resources", "{requests: {nvidia.com/gpu: 2}}", "the same in requests (2)"),
    Wrong("Deployment", f"{_RUNTIME}.resources", "{limits: {memory: 4Gi}}", "6Gi in requests, more than 4Gi in limits"),
    Wrong("Deployment", f"{_RUNTIME}.resources", "{requests: {cpu: 64}}", "no node has room"),
    Wrong("Deployment", f"{_RUNTIME}.resources", "{requests: {memory: 6 GB}}", "must match", True),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "{MODEL_FOLDER: /models}", "say it with modelMountPath"),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, value: a}, {name: A, value: b}]", "stands twice"),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, value: 1}]", "must be text", True),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, valueOf: b}]", "did you mean value?", True),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_GRACE_PERIOD_SECONDS: '5'}", "say it with taskTimeoutSeconds"),
    Wrong("Deployment", f"{_RUNTIME}.port", "8081", "taken in the pod"),
    Wrong("Deployment", f"{_RUNTIME}.imagePullPolicy", "Sometimes", "'Always', 'IfNotPresent' or 'Never'", True),
    Wrong("Deployment", f"{_RUNTIME}.image", "{repository: 'My Image'}", "must match"),
    Wrong("Deployment", f"{_RUNTIME}.securityContext", "{runAsNonRoot: true, runAsUser: 0}", "which is root"),
    Wrong("Deployment", f"{_RUNTIME}.securityContext", "{runAsUser: root}", "valid integer", True),
    Wrong("Deployment", f"{_RUNTIME}.securityContext", "{seccompProfile: {type: Localhost}}", "needs localhostProfile"),
    Wrong("Deployment", "runtime.tolerations", "[{operator: Equal, value: a}]", "needs a key"),
    Wrong("Deployment", "runtime.nodeSelector", "{'my label': a}", "must match"),
    Wrong("Deployment", "runtime.labels", "{team: my team}", "must match"),
    Wrong("Deployment", "runtime.labels", "{app.kubernetes.io/name: a}", "set by the deployment itself"),
    Wrong("Deployment", "runtime.annotations", "{'a/b/c': d}", "must match"),
    Wrong("Deployment", "runtime.replicas", "-1", "greater than or equal to 0"),
    Wrong("Deployment", "runtime.terminationGracePeriodSeconds", "90", "taskTimeoutSeconds sets the grace"),
    Wrong("Deployment", f"{_RUNTIME}.securityContext", "{privileged: true}", "needs allowPrivilegeEscalation: true"),
    Wrong(
        "Deployment",
        f"{_RUNTIME}.securityContext",
        "{capabilities: {add: [CAP_SYS_ADMIN]}}",
        "has CAP_SYS_ADMIN, which needs allowPrivilegeEscalation: true",
    ),
    Wrong(
        "Deployment",
        f"{_RUNTIME}.securityContext",
        "{capabilities: {add: [CAP_SYS_ADMIN]}, allowPrivilegeEscalation: false}",
        "adds CAP_SYS_ADMIN",
    ),
    Wrong("Deployment", f"{_AGENT}.securityContext", "{runAsUser: 0}", "which is root"),
    Wrong("Deployment", f"{_RUNTIME}.securityContext", "{procMount: Unmasked}", "'Default'"),
    *(
        Wrong(
            "Deployment",
            f"{_RUNTIME}.securityContext",
            f"{{seccompProfile: {{type: Localhost, localhostProfile: {path}}}}}",
            "below the kubelet's folder",
        )
        for path in ("/profiles/a.json", "../a.json")
    ),
    Wrong("Deployment", f"{_RUNTIME}.modelMountPath", "/etc/darkroom", "taken in the pod"),
    Wrong("Deployment", f"{_RUNTIME}.modelMountPath", "/dev/shm/", "taken in the pod"),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, valueFrom: {secretKeyRef: {name: s}}}]", "key is missing"),
    Wrong(
        "Deployment",
        f"{_RUNTIME}.extraEnv",
        "[{name: A, valueFrom: {configMapKeyRef: {name: My Map, key: a}}}]",
        "must match",
    ),
    Wrong(
        "Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, valueFrom: {fieldRef: {fieldPath: status.ip}}}]", "must match"
    ),
    Wrong(
        "Deployment",
        f"{_AGENT}.extraEnv",
        "[{name: A, valueFrom: {resourceFieldRef: {resource: limits.gpu}}}]",
        "must match",
    ),
    Wrong("Deployment", f"{_RUNTIME}.extraEnv", "[{name: A, valueFrom: {}}]", "needs one of configMapKeyRef"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_SWEEP_SECONDS: often}", "must be a number, not 'often'"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "[{name: DARKROOM_MODEL_WINDOW, value: '0'}]", "must be at least 1"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_SWEEP_SECOND: '5'}", "did you mean DARKROOM_SWEEP_SECONDS?"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_LOG_LEVEL: LOUD}", "one of DEBUG, INFO, WARNING, ERROR"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_RECEIVE_WAIT_SECONDS: '21'}", "must be at most 20, not 21"),
    Wrong("Deployment", f"{_AGENT}.extraEnv", "{DARKROOM_TRIAL_SECONDS: inf}", "must be a number, not 'inf'"),
    # Nodes that would never come, or never stay
    Wrong(
        "NodePool",
        f"{_POOL}.extraRequirements",
        "[{key: node.kubernetes.io/instance-type, operator: In, values: [p5.48xlarge]}]",
        "leaves none of the instance types, g6.2xlarge, g5.2xlarge",
    ),
    Wrong(
        "NodePool",
        f"{_POOL}.extraRequirements",
        "[{key: kubernetes.io/arch, operator: In, values: [arm64]}]",
        "leaves none of the instance types",
    ),
    Wrong(
        "NodePool",
        f"{_POOL}.extraRequirements",
        "[{key: karpenter.k8s.aws/instance-cpu, operator: Gt, values: ['8']}]",
        "leaves none of the instance types",
    ),
    Wrong(
        "NodePool",
        f"{_POOL}.extraRequirements",
        "[{key: karpenter.sh/capacity-type, operator: In, values: [reserved]}]",
        "leaves none of spot and on-demand",
    ),
    Wrong(
        "NodePool",
        f"{_POOL}.extraTaints",
        "[{key: a, effect: NoSchedule}, {key: a, value: b, effect: NoSchedule}]",
        "a with the effect NoSchedule twice",
    ),
    Wrong("NodePool", f"{_POOL}.disruption.expireAfter", "0s", "must match"),
    Wrong("NodePool", f"{_POOL}.instanceType", "[m7g.large]", "m7g.large has no NVIDIA GPU"),
    Wrong("NodePool", f"{_POOL}.instanceType", "[g4ad.xlarge]", "g4ad.xlarge has no NVIDIA GPU"),
    Wrong("EC2NodeClass", f"{_NODES}.dataVolume", "{volumeSize: 65Ti}", "within 1Gi to 64Ti"),
    Wrong("EC2NodeClass", f"{_NODES}.tags", f"{{{', '.join(f'a{n}: b' for n in range(41))}}}", "at most 40"),
    # The rest
    Wrong("NetworkPolicy", _EGRESS, "[{ports: [{port: '80'}]}]", "a number is without quotes"),
    Wrong("NetworkPolicy", _EGRESS, "[{ports: [{port: a--b}]}]", "no -- in it"),
    Wrong("PersistentVolume", "runtime.persistence.size", "0Gi", "more than nothing"),
    Wrong("PersistentVolumeClaim", "runtime.persistence.accessModes", "[]", "at least 1"),
    Wrong("PodDisruptionBudget", "runtime.disruptionBudget.maxUnavailable", "lots", "must match"),
    Wrong("PodDisruptionBudget", "runtime.disruptionBudget.maxUnavailable", "0.5", "valid", True),
    Wrong("NetworkPolicy", _EGRESS, "[{to: [{ipBlock: {cidr: 10.0.0.1}}]}]", "needs a mask, as in 10.0.0.1/32"),
    Wrong("NetworkPolicy", _EGRESS, "[{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]", "not within"),
    Wrong("NetworkPolicy", _EGRESS, "[{ports: [{port: 443, protocol: HTTP}]}]", "'TCP', 'UDP' or 'SCTP'"),
    Wrong("NetworkPolicy", _EGRESS, "[{ports: [{port: 443, endPort: 80}]}]", "not greater than endPort"),
    Wrong("PersistentVolume", "runtime.persistence.size", "big", "must match", True),
    Wrong("PersistentVolume", "runtime.persistence.accessModes", "[ReadOnlyOnce]", "'ReadOnlyMany' or 'ReadWriteMany'"),
    Wrong("PersistentVolumeClaim", "runtime.persistence.storageClass", "My_Class", "must match"),
    Wrong("PersistentVolumeClaim", "runtime.persistence.existingVolume", "My_Volume", "must match"),
]


def config_with(wrong: Wrong) -> tuple[str, int]:
    """The text of a config.yaml with this value, and the line on which the value stands."""
    lines = ["modelsRuntime:", "- name: sdruntime", "  type: sdwebui", "  extraValues:"]
    keys = wrong.key.split(".")
    lines += [f"{'  ' * (index + 2)}{key}:" for index, key in enumerate(keys)]
    lines[-1] += f" {wrong.value}"
    return "\n".join(lines) + "\n", len(lines)
