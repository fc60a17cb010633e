// Checks manifests against the API types of Kubernetes, KEDA, Karpenter and Prometheus' operator: values by the packages'
// validators, and unknown or misplaced keys, which validators let pass, by TypeScript's own check of object literals.
// Reads lines of [manifest, ...] from standard input, and answers each with a line of [{"index", "kind", "problem"}]:
// loading the types takes longer than judging by them.
import path from "node:path";
import readline from "node:readline";
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

const source = path.join(import.meta.dirname, "manifests.generated.ts");
// Without the library of browsers, which no manifest needs.
const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ["lib.es2022.d.ts"],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const host = ts.createCompilerHost(options);
const read = host.getSourceFile.bind(host);
const known = new Map();
let lines = [];
let program;
host.getSourceFile = (file, ...rest) => {
  if (file === source) return ts.createSourceFile(file, lines.join("\n"), options.target);
  if (!known.has(file)) known.set(file, read(file, ...rest));
  return known.get(file);
};
const exists = host.fileExists.bind(host);
host.fileExists = (file) => file === source || exists(file);

async function problemsIn(manifests) {
  const problems = [];
  const origins = [];
  lines = [];
  for (const [index, manifest] of manifests.entries()) {
    const kind = `${manifest.apiVersion} ${manifest.kind}`;
    const found = TYPES[kind];
    if (found === undefined) {
      problems.push({ index, kind, problem: "there is no schema for this kind" });
      continue;
    }
    const [module, type] = found;
    try {
      const models = await import(module);
      new models[manifest.kind](manifest).validate();
    } catch (error) {
      problems.push({ index, kind, problem: String(error.message) });
    }
    lines.push(`export const m${lines.length}: import("${module}").${type} = ${JSON.stringify(manifest)};`);
    origins.push({ index, kind });
  }
  program = ts.createProgram([source], options, host, program);
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const at = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line;
    const problem = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    problems.push({ ...(origins[at] ?? { index: null, kind: "" }), problem });
  }
  return problems;
}

for await (const asked of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await problemsIn(JSON.parse(asked)))}\n`);
}
