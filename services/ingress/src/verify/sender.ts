import type { BlockList } from "node:net";
import { inAddressList } from "../address/address-list.ts";
import { type Rejected, rejected } from "./verdict.ts";

/** Says why a sender is not one of those allowed; `undefined`: it is. */
export function judgeAddress(allowed: BlockList, clientAddress: string | undefined): Rejected | undefined {
  if (clientAddress === undefined) return rejected("address_unknown");
  return inAddressList(allowed, clientAddress) ? undefined : rejected("address_not_allowed");
}
