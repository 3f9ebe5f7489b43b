import type { Metrics } from "@warren/observability";
import type { LiveSources } from "./live.ts";

/** Shows how it stands with the sources of this process, at each scrape. */
export function measureSources(metrics: Metrics, sources: Pick<LiveSources, "report">, now: () => number): void {
  metrics.gauge({
    name: "warren_webhook_sources",
    help: "Sources of webhooks by how they stand in this process; failing ones answer 503",
    labels: ["state"],
    collect: (gauge) => {
      const { enabled, disabled, failing, shadowed } = sources.report();
      for (const [state, count] of Object.entries({ enabled, disabled, failing, shadowed }))
        gauge.set({ state }, count);
    },
  });
  metrics.gauge({
    name: "warren_webhook_sources_read_age_seconds",
    help: "How long ago the database last said which sources there are",
    labels: [],
    collect: (gauge) => {
      const { readAtMs } = sources.report();
      if (readAtMs !== undefined) gauge.set({}, (now() - readAtMs) / 1000);
    },
  });
}
