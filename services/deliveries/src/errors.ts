import { type ErrorCode, WarrenError } from "@warren/contracts";
import { NonRetryableError } from "@warren/jobs";
import { ProviderRejectedError } from "@warren/resilience";

/** A host is, or resolves to, nothing that deliveries may go to. */
export class AddressRefusedError extends WarrenError {
  constructor(host: string, addresses: readonly string[]) {
    const where = addresses.length === 1 && addresses[0] === host ? host : `${host} (${addresses.join(", ")})`;
    super("ENDPOINT_ADDRESS_REFUSED", `deliveries may not go to ${where}`, { details: { host } });
  }
}

/** A try failed, and what failed is written down. The next one, if any, is after `delayMs`. */
export class DeliveryFailedError extends WarrenError {
  readonly delayMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly endpointId: string; readonly outage: boolean; readonly delayMs: number | undefined },
  ) {
    const { endpointId, outage, delayMs } = options;
    super(code, message, {
      retryable: true,
      details: { endpointId },
      cause: outage ? undefined : wellSign(endpointId, message),
    });
    this.delayMs = delayMs;
  }
}

/** The last failure of an endpoint that takes nothing more. Its breaker is to let go of what it holds, so that it ends as well. */
export function disabledError(endpointId: string, detail: string): NonRetryableError {
  const message = `${detail}; the endpoint is disabled`;
  return new NonRetryableError(message, { reason: "ENDPOINT_DISABLED", cause: wellSign(endpointId, message) });
}

/** An endpoint that answers is well, whatever it says: as the cause of a probe's failure this closes the breaker. */
function wellSign(endpointId: string, message: string): ProviderRejectedError {
  return new ProviderRejectedError(message, { provider: "endpoint", operation: endpointId });
}
