/** Jobs a second of every system and shape; the last column is Warren's rate over the best peer's. */
export function formatTable(rates: Readonly<Record<string, Readonly<Record<string, number>>>>): string {
  const systems = Object.keys(rates);
  const shapes = Object.keys(rates[systems[0] ?? ""] ?? {});
  const rows = shapes.map((shape) => {
    const own = rates["warren"]?.[shape] ?? 0;
    const best = Math.max(0, ...systems.filter((name) => name !== "warren").map((name) => rates[name]?.[shape] ?? 0));
    const verdict = best === 0 ? "–" : `${(own / best).toFixed(2)}${own < best ? " (peer wins)" : ""}`;
    return [shape, ...systems.map((name) => String(rates[name]?.[shape] ?? "–")), verdict];
  });
  const table = [["jobs/s", ...systems, "to best peer"], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    )
    .join("\n");
}
