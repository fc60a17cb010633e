"""What the security scanners find and we keep, each with its reason. What is not here fails; so does what is not found.

The first part is the rule, the second where: a construct's path, or a resource's name, without the stack's.
"""

from __future__ import annotations

KUBECTL = "CDK's own kubectl provider, which we do not write; it runs in the VPC, for deployments alone"
KARPENTER = "Karpenter's documented policy: EC2 names resources only when they are made; conditions bind it to our tags"
RETENTION = "CDK's own function, which we do not write; it sets how long log groups are kept, and removes the cluster's"
ROTATION = "a new secret is of use when its receiver knows it: darkroom webhooks secret --rotate, by a person"
KEY = "the guide's contract is an API key with a usage plan; the key is required on every method"

CDK_NAG: dict[tuple[str, str], str] = {
    (
        "AwsSolutions-APIG2",
        "FrontDoor/FrontAPI/*",
    ): "POST bodies are validated; of a GET and a PUT the function reads path and query",
    ("AwsSolutions-APIG2", "FrontDoor/OpenAI/Api/*"): "the function validates, and answers in the form of OpenAI's API",
    (
        "AwsSolutions-APIG3",
        "FrontDoor/*",
    ): "a web firewall costs more than the rest of the front door; the key throttles",
    ("AwsSolutions-APIG4", "FrontDoor/*"): KEY,
    ("AwsSolutions-COG4", "FrontDoor/*"): KEY,
    ("AwsSolutions-IAM4*AmazonEC2ContainerRegistryPullOnly*", "*NodeRole/*"): "EKS asks for it on every node",
    ("AwsSolutions-IAM4*AmazonEKSWorkerNodePolicy*", "*NodeRole/*"): "EKS asks for it on every node",
    ("AwsSolutions-IAM4*AmazonEKS_CNI_Policy*", "*NodeRole/*"): "EKS asks for it on every node",
    ("AwsSolutions-IAM4*AmazonSSMManagedInstanceCore*", "Karpenter/NodeRole/*"): "how to look into a Bottlerocket node",
    ("AwsSolutions-IAM4*", "Eks/Cluster/KubectlProvider/*"): KUBECTL,
    ("AwsSolutions-IAM4*AmazonEKSClusterPolicy*", "Eks/Cluster/Role/*"): "EKS asks for it on the control plane",
    ("AwsSolutions-IAM4*CloudWatchAgentServerPolicy*", "AddOns/CloudWatchRole/*"): "the add-on asks for it",
    ("AwsSolutions-IAM5*", "Eks/Cluster/KubectlProvider/*"): KUBECTL,
    ("AwsSolutions-IAM4*", "LogRetention*"): RETENTION,
    ("AwsSolutions-IAM5*", "LogRetention*"): RETENTION,
    ("AwsSolutions-IAM5*", "Karpenter/*"): KARPENTER,
    (
        "AwsSolutions-IAM5*",
        "FrontDoor/FunctionRole/*",
    ): "any object below our own prefix or bucket; X-Ray has no resources",
    ("AwsSolutions-IAM5*", "Runtime-*/Role/*"): "any object in our own bucket; X-Ray has no resources",
    ("AwsSolutions-IAM5*", "AddOns/MountpointRole/*"): "any model in the model bucket, read-only",
    ("AwsSolutions-IAM5*", "Webhooks/FunctionRole/*"): "X-Ray has no resources",
    ("AwsSolutions-SMG4", "Webhooks/Keys/*"): ROTATION,
    ("AwsSolutions-L1", "Eks/Cluster/KubectlProvider/*"): KUBECTL,
    ("AwsSolutions-S1", "TaskPlane/outputS3Bucket/*"): "an access log of one's own pictures is the user's to want",
    ("AwsSolutions-SQS3", "Karpenter/Interruptions/*"): "a warning of an interruption is worthless after two minutes",
}

# Beside a cluster that is there, in addition.
CDK_NAG_BESIDE: dict[tuple[str, str], str] = {
    ("AwsSolutions-IAM5*", "There/Role-*/*"): "any object in our own bucket; X-Ray has no resources",
    ("AwsSolutions-IAM5*", "There/MountpointPolicy/*"): "any model in the model bucket, read-only",
}

CHECKOV_TEMPLATE: dict[tuple[str, str], str] = {
    ("CKV_AWS_111", "*LogRetention*"): RETENTION,
    ("CKV_AWS_115", "*"): "a reserved concurrency takes from the account's; usage plan and event source bound them",
    ("CKV_AWS_116", "*"): "API Gateway and CloudFormation call synchronously and are told of every failure",
    ("CKV_AWS_117", "*FrontDoorFunction*"): "it speaks to AWS APIs only; a VPC would put a NAT gateway in between",
    (
        "CKV_AWS_117",
        "*WebhooksFunction*",
    ): "it speaks to receivers on the internet; a VPC would put a NAT gateway before",
    ("CKV_AWS_117", "*OpenAIAuthorizer*"): "it reads what API Gateway hands it, and speaks to nobody",
    ("CKV_AWS_117", "*LogRetention*"): "it speaks to CloudWatch Logs only, also when the VPC is going",
    ("CKV_AWS_119", "*tasks*"): "task records and webhooks are encrypted with AWS's key, and hold no key of ours",
    ("CKV_AWS_120", "*Stage*"): "no answer of the front door may be cached",
    ("CKV_AWS_149", "*WebhooksKeys*"): "Secrets Manager's own key encrypts it; another would cost more than the secret",
    ("CKV_AWS_158", "*"): "logs hold ids and errors, no prompts and no keys; CloudWatch encrypts them with its own key",
    ("CKV_AWS_173", "*"): "the variables name resources and callers' webhooks, and hold no key",
    ("CKV_AWS_18", "*outputS3Bucket*"): "an access log of one's own pictures is the user's to want",
    ("CKV_AWS_21", "*outputS3Bucket*"): "doing a task twice writes the same objects; versions would only cost",
    ("CKV_AWS_27", "*"): "the queues are encrypted by SQS itself, which this rule does not know",
}

CFN_LINT: dict[tuple[str, str], str] = {
    ("W3005", "*"): "CDK writes dependencies out, also those that a reference implies",
}

CHECKOV_CHART: dict[tuple[str, str], str] = {
    ("CKV_K8S_14", "*"): "the runtime's sample image is for tests; the user's own tag or digest takes its place",
    ("CKV_K8S_43", "*"): "digests are set with image.digest; a default cannot know them",
    ("CKV_K8S_15", "*"): "IfNotPresent is what makes the image cache work",
    ("CKV_K8S_11", "*"): "what nobody else on the node asks for is free; a CPU limit would only slow a pod down",
    ("CKV_K8S_22", "*"): "SD Web UI and ComfyUI write beside their code; the agent's own container is read-only",
}

CHECKOV_DOCKERFILES: dict[tuple[str, str], str] = {
    ("CKV_DOCKER_2", "*"): "Kubernetes' probes ask the containers; Docker's own check would do it twice",
}
