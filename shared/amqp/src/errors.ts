import { type ErrorCode, WarrenError, type WarrenErrorOptions } from "@warren/contracts";

/** Failure of the session itself: a refused declaration, no connection, a wrong option. */
export class AmqpError extends WarrenError {}

export type PublishErrorCode = Extract<
  ErrorCode,
  | "AMQP_UNROUTABLE"
  | "AMQP_PUBLISH_TIMEOUT"
  | "AMQP_NACKED"
  | "AMQP_CLOSED"
  | "AMQP_MESSAGE_INVALID"
  | "AMQP_CHANNEL_ERROR"
>;

/** A message that was not confirmed and routed. `details` carries message id, exchange and routing key. */
export class PublishError extends WarrenError {
  override readonly code: PublishErrorCode;

  constructor(code: PublishErrorCode, message: string, options: WarrenErrorOptions = {}) {
    super(code, message, options);
    this.code = code;
  }
}

export interface TopologyMismatch {
  readonly object: "queue" | "exchange";
  readonly name: string;
  /** The differing argument, `type` or `durable` among them; `undefined` when the broker did not name one. */
  readonly argument?: string | undefined;
  readonly declared?: string | undefined;
  readonly actual?: string | undefined;
}

/** 406 on declare: the broker holds the object with other arguments. Fatal; trying again cannot help. */
export class TopologyMismatchError extends WarrenError {
  readonly mismatch: TopologyMismatch;

  constructor(mismatch: TopologyMismatch, cause: unknown) {
    const { object, name, argument, declared, actual } = mismatch;
    const difference =
      argument === undefined ? "other arguments" : `${argument} ${actual ?? "none"} instead of ${declared ?? "none"}`;
    super(
      "AMQP_TOPOLOGY_MISMATCH",
      `${object} ${name} exists in the broker with ${difference}. ${mendingAdvice(mismatch)}`,
      { details: { ...mismatch }, cause },
    );
    this.mismatch = mismatch;
  }
}

function mendingAdvice({ object, name }: TopologyMismatch): string {
  return object === "queue"
    ? `Stop its workers and run: npm run warren -- topology migrate ${name}`
    : `An exchange holds no messages: delete it (rabbitmqadmin delete exchange name=${name}) and start again`;
}

/** The AMQP reply code that amqplib attaches to its errors, if there is one. */
export function replyCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "number" ? error.code : undefined;
}
