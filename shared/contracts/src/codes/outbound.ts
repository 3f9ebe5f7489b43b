import type { CodeEntries } from "./entry.ts";

/** Codes of outbound deliveries. */
export const outboundCodes = {
  ENDPOINT_UNKNOWN: {
    meaning: "There is no endpoint of that id.",
    fix: "Compare the id with GET /api/v1/endpoints; it may have been deleted.",
  },
  ENDPOINT_DISABLED: {
    meaning: "The endpoint is disabled: nothing is sent to it.",
    fix: "Mend what its disabledReason says, enable it, then retry what failed meanwhile: POST /api/v1/endpoints/{id}/retry.",
  },
  ENDPOINT_CHANGED: {
    meaning: "Somebody else changed the endpoint at the same time.",
    fix: "Read the endpoint again, and make the change to what it is now.",
  },
  ENDPOINT_CERTIFICATE_INVALID: {
    meaning: "The client certificate, its key or the authority cannot be used.",
    fix: "Give certificate and key as PEM that belong together, and the passphrase if the key is encrypted.",
  },
  ENDPOINT_ADDRESS_REFUSED: {
    meaning:
      "The endpoint's host is, or resolves to, an address that deliveries may not go to: private, loopback, link-local, metadata or reserved.",
    fix: "Use a public address, or name the network in WARREN_DELIVERY_ALLOW if it is meant to be reached.",
  },
  DELIVERY_UNKNOWN: {
    meaning: "There is no delivery of that id.",
    fix: "Compare the id with GET /api/v1/deliveries; deliveries are forgotten after WARREN_RETENTION_DAYS.",
  },
  DELIVERY_NOT_FINISHED: {
    meaning: "The delivery is under way, or about to be tried anyway.",
    fix: "Nothing: look at its attempts in a moment.",
  },
  DELIVERY_STATUS: {
    meaning: "The endpoint answered with a status other than 2xx.",
    fix: "Read the answer in the delivery's attempts; it is tried again by the schedule.",
  },
  DELIVERY_REDIRECTED: {
    meaning: "The endpoint answered with a redirect; deliveries follow none.",
    fix: "Set the endpoint's URL to where it redirects to, if that is right.",
  },
  DELIVERY_TIMEOUT: {
    meaning: "The endpoint did not connect and answer within its timeoutMs.",
    fix: "Have the endpoint answer first and work afterwards, or raise its timeoutMs.",
  },
  DELIVERY_UNREACHABLE: {
    meaning: "The endpoint's name did not resolve, or the connection was refused, broken off or not trusted (TLS).",
    fix: "Read the detail of the attempt: name, port, certificate or proxy.",
  },
  DELIVERY_WORKER_LOST: {
    meaning:
      "The worker that was delivering died before it wrote down the answer; the endpoint may have got the message.",
    fix: "Nothing: it is sent again under the same webhook-id, by which the endpoint can tell.",
  },
} as const satisfies CodeEntries;
