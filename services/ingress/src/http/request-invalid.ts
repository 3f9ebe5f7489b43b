import { WarrenError } from "@warren/contracts";
import type { z } from "zod";

/** A place of a call that is not as it must be, such as `body.secrets.0`. */
export interface RequestProblem {
  readonly path: string;
  readonly message: string;
}

/** `API_REQUEST_INVALID`; also for what no schema of a route can tell, such as options that depend on the provider. */
export function requestInvalid(problems: readonly RequestProblem[]): WarrenError {
  const text = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
  return new WarrenError("API_REQUEST_INVALID", text, { details: { errors: problems } });
}

export function problemsAt(where: string, error: z.ZodError): readonly RequestProblem[] {
  return error.issues.map(({ path, message }) => ({ path: [where, ...path.map(String)].join("."), message }));
}
