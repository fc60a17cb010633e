// Checks manifests against the API types of Kubernetes, KEDA, Karpenter and Prometheus' operator: values by the packages'
// validators, and unknown or misplaced keys, which validators let pass, by TypeScript's own check of object literals.
// Reads {"name": [manifest, ...]} from the file named first; writes [{"name", "kind", "problem"}] to standard output.
import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

const TYPES = {
  "apps/v1 Deployment": ["kubernetes-models/apps/v1", "IDeployment"],
  "v1 ConfigMap": ["kubernetes-models/v1", "IConfigMap"],
  "v1 ServiceAccount": ["kubernetes-models/v1", "IServiceAccount"],
  "v1 PersistentVolume": ["kubernetes-models/v1", "IPersistentVolume"],
  "v1 PersistentVolumeClaim": ["kubernetes-models/v1", "IPersistentVolumeClaim"],
  "networking.k8s.io/v1 NetworkPolicy": ["kubernetes-models/networking.k8s.io/v1", "INetworkPolicy"],
  "policy/v1 PodDisruptionBudget": ["kubernetes-models/policy/v1", "IPodDisruptionBudget"],
  "keda.sh/v1alpha1 ScaledObject": ["@kubernetes-models/keda/keda.sh/v1alpha1", "IScaledObject"],
  "keda.sh/v1alpha1 TriggerAuthentication": ["@kubernetes-models/keda/keda.sh/v1alpha1", "ITriggerAuthentication"],
  "monitoring.coreos.com/v1 PodMonitor": [
    "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1", "IPodMonitor"],
  "karpenter.sh/v1 NodePool": ["@kubernetes-models/karpenter/karpenter.sh/v1", "INodePool"],
  "karpenter.k8s.aws/v1 EC2NodeClass": ["@kubernetes-models/karpenter/karpenter.k8s.aws/v1", "IEC2NodeClass"],
};

const renders = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const problems = [];
const lines = [];
const origins = [];
for (const [name, manifests] of Object.entries(renders)) {
  for (const manifest of manifests) {
    const kind = `${manifest.apiVersion} ${manifest.kind}`;
    const found = TYPES[kind];
    if (found === undefined) {
      problems.push({ name, kind, problem: "there is no schema for this kind" });
      continue;
    }
    const [module, type] = found;
    try {
      const models = await import(module);
      new models[manifest.kind](manifest).validate();
    } catch (error) {
      problems.push({ name, kind, problem: String(error.message) });
    }
    const line = `export const m${lines.length}: import("${module}").${type} = ${JSON.stringify(manifest)};`;
    lines.push(line);
    origins.push({ name, kind });
  }
}
const source = path.join(import.meta.dirname, "manifests.generated.ts");
const options = { strict: true, noEmit: true, skipLibCheck: true, types: [],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const host = ts.createCompilerHost(options);
const read = host.getSourceFile.bind(host);
host.getSourceFile = (file, ...rest) =>
  file === source ? ts.createSourceFile(file, lines.join("\n"), options.target) : read(file, ...rest);
const exists = host.fileExists.bind(host);
host.fileExists = (file) => file === source || exists(file);
const program = ts.createProgram([source], options, host);
for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
  const at = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line;
  const problem = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
  problems.push({ ...(origins[at] ?? { name: "", kind: "" }), problem });
}
process.stdout.write(JSON.stringify(problems));
