// Figures of tasks: how long they waited and took, and why some failed. Pure.

/** The value that `share` of these sorted values do not exceed (nearest rank); null of none. */
export function quantile(sorted, share) {
  return sorted.length ? sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] : null;
}

/** How long tasks waited for the device, and how long they took in all, in seconds; null where none tells. */
export function rangesOf(tasks) {
  const between = (from, to) => (new Date(to) - new Date(from)) / 1000;
  const range = (values) => {
    const sorted = values.filter(Number.isFinite).sort((one, other) => one - other);
    return sorted.length ? { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95) } : null;
  };
  return {
    wait: range(tasks.filter((task) => task.started_at).map((task) => between(task.created_at, task.started_at))),
    total: range(tasks.filter((task) => task.status === "completed" && task.ended_at).map((task) => between(task.created_at, task.ended_at))),
  };
}

/** Failures by their runtime and reason, the most frequent first; of texts that differ in numbers and names, one is shown. */
export function failuresOf(tasks) {
  const found = new Map();
  for (const task of tasks) {
    if (!task.error || !["failed", "expired"].includes(task.status)) continue;
    const name = `${task.runtime} ${task.error.type} ${task.error.message.replace(/"[^"]*"|'[^']*'|[a-z0-9]+:\/\/\S+|[0-9]+([.,][0-9]+)*/g, "…")}`;
    const before = found.get(name);
    if (before) before.count += 1;
    else found.set(name, { runtime: task.runtime, type: task.error.type, message: task.error.message, count: 1, last: task });
  }
  return [...found.values()].sort((one, other) => other.count - one.count);
}
