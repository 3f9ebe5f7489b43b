const nameForm = /^warren_[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const derivedUnits =
  /_(ms|millis|milliseconds|us|microseconds|ns|nanoseconds|minutes|hours|days|kb|mb|kilobytes|megabytes|percent)(_|$)/;
const labelForm = /^[a-z][a-z0-9_]*$/;

/**
 * Holds a metric to the naming rules: prefix `warren_`, base units, `_total` on counters and only there, no ids as labels.
 * Source: https://prometheus.io/docs/practices/naming/
 * @throws TypeError when a rule is broken; a mistake of the programmer, found when the process starts.
 */
export function checkMetricName(
  kind: "counter" | "gauge" | "histogram",
  name: string,
  labels: readonly string[],
): void {
  if (!nameForm.test(name)) throw new TypeError(`metric ${name}: the name must look like warren_queue_size`);
  if (kind === "counter" && !name.endsWith("_total")) throw new TypeError(`metric ${name}: a counter ends in _total`);
  if (kind !== "counter" && name.endsWith("_total"))
    throw new TypeError(`metric ${name}: only a counter ends in _total`);
  if (derivedUnits.test(name)) throw new TypeError(`metric ${name}: use base units (seconds, bytes, ratio)`);
  for (const label of labels) {
    if (!labelForm.test(label)) throw new TypeError(`metric ${name}: label ${label} must look like queue_name`);
    if (label === "id" || label.endsWith("_id")) {
      throw new TypeError(`metric ${name}: label ${label} is an id; every value would be a series for ever`);
    }
  }
}
