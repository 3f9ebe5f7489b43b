import { PayloadError } from "../../src/payloads/errors.ts";

/** The error that a call of the payload store or of its seals must end with. */
export async function refusal(call: Promise<unknown>): Promise<PayloadError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof PayloadError) return outcome;
  throw outcome instanceof Error ? outcome : new Error("it was not refused");
}
