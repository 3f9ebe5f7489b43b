import type { CodeEntries } from "./entry.ts";

/** Codes of the rules that say what comes of a webhook. Those of single events are kept with the request, and can be routed again. */
export const routingCodes = {
  ROUTE_RULE_UNKNOWN: {
    meaning: "There is no routing rule of that id or name.",
    fix: "List the rules: `npm run warren -- rule list`, or GET /api/v1/rules. It may have been deleted.",
  },
  ROUTE_RULE_NAME_TAKEN: {
    meaning: "Another routing rule has that name.",
    fix: "Choose another name, or change the rule that has it.",
  },
  ROUTE_RULE_CHANGED: {
    meaning: "Somebody changed the rule since the given revision.",
    fix: "Read the rule again, and send the change with its new revision.",
  },
  ROUTE_RULES_LIMIT: {
    meaning: "There are as many routing rules as one process keeps.",
    fix: "Delete rules that are not used any more, or merge those that differ in a condition only.",
  },
  ROUTE_REQUEST_UNKNOWN: {
    meaning: "There is no stored request of that id.",
    fix: "Compare the id with the receipt; the request may be past its retention.",
  },
  ROUTE_REQUEST_NOT_ACCEPTED: {
    meaning:
      "Only accepted requests are routed: a duplicate's event belongs to the first request, and a rejected one is no event.",
    fix: "Route the request that was accepted with the same dedupe key.",
  },
  ROUTE_RULE_INVALID: {
    meaning: "The rule contradicts itself, or names something that is not there.",
    fix: "The detail names the field. A job that the ingress does not know needs its queue; one that it knows takes none.",
  },
  ROUTE_FILTER_FAILED: {
    meaning:
      "The rule's condition could not be judged for this event: its body or a value is not of the form that the rule expects.",
    fix: "Compare the stored request with the rule's paths and types; test the rule against it, mend it, and route the request again.",
  },
  ROUTE_BODY_INVALID: {
    meaning: "The body does not fit the schema that the rule in code names.",
    fix: "The message names the field. Widen the schema, deploy, and route the request again.",
  },
  ROUTE_MAP_FAILED: {
    meaning: "The rule's function threw for this event.",
    fix: "The message is the error's. Mend the rule, deploy, and route the request again.",
  },
  ROUTE_OUTPUT_REFUSED: {
    meaning: "What the rule made is not what its job, event or delivery takes, or cannot be stored.",
    fix: "The message names the field. Mend the rule's payload or transform, and route the request again.",
  },
  ROUTE_TRANSFORM_INVALID: {
    meaning: "The transform is not JavaScript that defines a function named transform.",
    fix: "The detail names the line. Define function transform(event) { … } at the top level.",
  },
  ROUTE_TRANSFORM_FAILED: {
    meaning: "The transform threw for this event.",
    fix: "The message is the error's. Test the rule against the stored request, mend it, and route the request again.",
  },
  ROUTE_TRANSFORM_TIMEOUT: {
    meaning: "The transform took longer than its timeoutMs.",
    fix: "Look for loops without an end; raise timeoutMs up to 1000 if it needs the time.",
  },
  ROUTE_TRANSFORM_OUT_OF_MEMORY: {
    meaning: "The transform took more memory than its memoryMb, or nested calls too deep.",
    fix: "Make less at a time; raise memoryMb up to 64 if it needs the room.",
  },
  ROUTE_TRANSFORM_OUTPUT_INVALID: {
    meaning: "What the transform returned is not JSON, or is larger than 1 MiB.",
    fix: "Return plain objects, arrays, strings, numbers, booleans or null.",
  },
  ROUTE_TRANSFORM_OVERLOADED: {
    meaning: "More transforms were waiting than the sandbox could run in time, or its thread could not start in time.",
    fix: "Make the transforms faster, use payload instead where it does, or run another ingress; then route the request again.",
  },
  ROUTE_TRANSFORM_CRASHED: {
    meaning: "The sandbox's thread ended while it ran the transform. It was started anew.",
    fix: "Route the request again; if it goes on, test the rule against it and simplify the transform.",
  },
} as const satisfies CodeEntries;
