import { endpointDisabledEvent } from "@warren/contracts";
import { defineEvent } from "../events/define.ts";

/** `warren.endpoint.disabled`: an endpoint of outbound webhooks takes nothing more, because it is gone or has failed for days. */
export const endpointDisabled = defineEvent(endpointDisabledEvent);
