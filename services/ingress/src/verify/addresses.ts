import { z } from "zod";
import { addressList } from "../address/address-list.ts";
import { eventDescriber } from "./event-values.ts";
import { addressesOption, eventOptions } from "./options.ts";
import { judgeAddress } from "./sender.ts";
import type { Verify } from "./verdict.ts";

export const addressesOptions = z.strictObject({ addresses: addressesOption, ...eventOptions });

/**
 * A sender that proves nothing but its address. Behind a proxy the address is as good as WARREN_TRUSTED_PROXIES: `X-Forwarded-For`
 * counts only as far as those wrote it. Anybody behind the same address passes, so prefer a signature where there is one.
 */
export function addressesVerifier(options: z.infer<typeof addressesOptions>): Verify {
  const allowed = addressList(options.addresses);
  const describe = eventDescriber(options);
  return (request) => judgeAddress(allowed, request.clientAddress) ?? { kind: "verified", ...describe(request) };
}
