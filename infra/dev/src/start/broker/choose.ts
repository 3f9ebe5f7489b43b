import { Refusal } from "../refusal.ts";

/** What is known of this machine. */
export interface BrokerFacts {
  readonly amqpUrl: string | undefined;
  readonly wanted: "auto" | "localhost" | "docker" | "private";
  /** What listens on localhost:5672. */
  readonly localhost: "answers" | "refuses" | "none";
  readonly docker: "ready" | "no-image" | "none";
  /** `rabbitmq-server` is there. */
  readonly installed: boolean;
  /** This is root on Debian or Ubuntu. */
  readonly canInstall: boolean;
}

export type BrokerChoice =
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "localhost" }
  | { readonly kind: "docker" }
  | { readonly kind: "private"; readonly install: boolean };

export const localhostUrl = "amqp://guest:guest@127.0.0.1:5672";

/**
 * Which broker to use: AMQP_URL; else the one on localhost; else a container; else a private node of the installed server; else, as
 * root on Debian or Ubuntu, install it. Pure. Throws a Refusal that says what to install.
 */
export function chooseBroker(facts: BrokerFacts): BrokerChoice {
  const { wanted } = facts;
  if (facts.amqpUrl !== undefined) return { kind: "url", url: facts.amqpUrl };
  if (wanted === "auto" || wanted === "localhost") {
    if (facts.localhost === "answers") return { kind: "localhost" };
    if (facts.localhost === "refuses") {
      throw new Refusal(
        "the RabbitMQ on localhost:5672 refuses the user guest: give AMQP_URL=amqp://user:password@localhost:5672, or WARREN_BROKER=private for one of Warren's own",
      );
    }
    if (wanted === "localhost")
      throw new Refusal("no broker answers on localhost:5672: start it, or leave WARREN_BROKER out");
  }
  if (wanted === "auto" || wanted === "docker") {
    if (facts.docker === "ready") return { kind: "docker" };
    if (wanted === "docker") {
      throw new Refusal(
        facts.docker === "none"
          ? "no Docker engine answers: start it, or leave WARREN_BROKER out"
          : "the Docker engine has no RabbitMQ image and cannot pull it: set WARREN_RABBITMQ_IMAGE to one that it has",
      );
    }
  }
  if (facts.installed) return { kind: "private", install: false };
  if (facts.canInstall) return { kind: "private", install: true };
  throw new Refusal(
    "Warren needs RabbitMQ 3.10 or newer and found none: install it (Debian/Ubuntu: sudo apt-get install rabbitmq-server; macOS: brew install rabbitmq), start Docker, or set AMQP_URL",
  );
}
