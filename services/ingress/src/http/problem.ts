import { type ErrorCode, errorCatalogue, type Problem, problemContentType } from "@warren/contracts";
import type { FastifyReply } from "fastify";

export interface ProblemOptions {
  readonly detail?: string;
  readonly correlationId?: string;
  /** When the sender may come again, in seconds. */
  readonly retryAfterSeconds?: number;
  /** Each place of the request that is not as it must be. */
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** Answers with a problem document (RFC 9457) and our error code. */
export function sendProblem(
  reply: FastifyReply,
  status: number,
  code: ErrorCode,
  options: ProblemOptions = {},
): FastifyReply {
  const { detail, correlationId, retryAfterSeconds, errors } = options;
  const body: Problem = {
    type: `urn:warren:error:${code}`,
    title: errorCatalogue[code].meaning,
    status,
    code,
    ...(detail === undefined ? {} : { detail }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(errors === undefined ? {} : { errors: [...errors] }),
  };
  if (correlationId !== undefined) reply.header("x-correlation-id", correlationId);
  if (retryAfterSeconds !== undefined) reply.header("retry-after", String(retryAfterSeconds));
  return reply.code(status).header("content-type", problemContentType).send(JSON.stringify(body));
}
