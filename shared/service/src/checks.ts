import type { AmqpSession, ConnectionState, SessionState } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { HealthCheck, HealthResult } from "@warren/observability";

/** Whether the service can do its work without the broker for a while: then its absence is `degraded`, not `failing`. */
export type BrokerNeed = "required" | "optional";

export function postgresCheck(ledger: Pick<Ledger, "ping">): HealthCheck {
  return async () => {
    await ledger.ping();
    return { status: "ok" };
  };
}

/**
 * The worse of the two connections. Blocked publishing (memory or disk alarm) is `degraded`: messages wait, none is lost, and taking the
 * service out of the load balancer would not help.
 */
export function amqpCheck(session: Pick<AmqpSession, "state">, need: BrokerNeed): HealthCheck {
  return () => {
    const { publish, consume } = session.state();
    const results = [connection("publish", publish, need), connection("consume", consume, need)];
    return (
      results.find((one) => one.status === "failing") ?? results.find((one) => one.status !== "ok") ?? { status: "ok" }
    );
  };
}

function connection(role: string, state: ConnectionState, need: BrokerNeed): HealthResult {
  const away = need === "required" ? "failing" : "degraded";
  switch (state.kind) {
    case "connected":
      return { status: "ok" };
    case "blocked":
      return {
        status: "degraded",
        detail: `${role}: the broker takes no messages since ${since(state)}: ${state.reason}`,
      };
    case "connecting":
      return {
        status: away,
        detail: `${role}: not connected since ${since(state)}${state.error === undefined ? "" : `: ${state.error}`}`,
      };
    case "closed":
      return { status: "failing", detail: `${role}: closed` };
    default:
      return state satisfies never;
  }
}

function since(state: { readonly since: Date }): string {
  return state.since.toISOString();
}

export function topologyCheck(session: { state(): Pick<SessionState, "topology"> }, need: BrokerNeed): HealthCheck {
  return () => {
    const { topology } = session.state();
    switch (topology.kind) {
      case "asserted":
        return { status: "ok" };
      case "pending": {
        const detail = `not declared yet${topology.error === undefined ? "" : `: ${topology.error}`}`;
        return { status: need === "required" ? "failing" : "degraded", detail };
      }
      case "mismatched":
        return { status: "failing", detail: topology.error.message };
      default:
        return topology satisfies never;
    }
  };
}
