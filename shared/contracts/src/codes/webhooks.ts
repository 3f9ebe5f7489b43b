import type { CodeEntries } from "./entry.ts";

/** Codes of the webhook ingress. */
export const webhooksCodes = {
  WEBHOOK_SOURCE_UNKNOWN: {
    meaning: "There is no webhook source of that name, neither in the configuration nor made over the API.",
    fix: "Compare the name, and the URL at the provider, with what `npm run warren -- source list` shows.",
  },
  WEBHOOK_NOT_AUTHENTIC: {
    meaning: "The request does not prove that it comes from the source's provider.",
    fix: "Compare the source's secrets (or address ranges) with the provider's page; the stored request keeps the exact cause.",
  },
  WEBHOOK_BODY_TOO_LARGE: {
    meaning: "More bytes arrived than the source takes.",
    fix: "Raise the source's maxBodyBytes, or have the provider send less.",
  },
  WEBHOOK_BODY_INCOMPLETE: {
    meaning: "The connection ended, or stalled too long, before the whole body had arrived.",
    fix: "Send the request again; if it goes on, look at the proxies in between.",
  },
  WEBHOOK_BODY_MALFORMED: {
    meaning: "The request is authentic, but its body is not what the provider documents.",
    fix: "Check that the source's provider is the one that sends; the stored request keeps the exact bytes.",
  },
  WEBHOOK_ENCODING_UNSUPPORTED: {
    meaning:
      "The body is compressed. Warren verifies and keeps the bytes as they were signed, so it takes none but identity.",
    fix: "Send the body without Content-Encoding.",
  },
  WEBHOOK_CONTENT_TYPE_UNSUPPORTED: {
    meaning: "The source does not take this content type.",
    fix: "Add the type to the source's contentTypes, or set the provider to JSON.",
  },
  WEBHOOK_METHOD_NOT_ALLOWED: {
    meaning: "The source's provider never uses this HTTP method.",
    fix: "The Allow header names the methods that the source takes; most providers only POST.",
  },
  WEBHOOK_SECRETS_NOT_CURRENT: {
    meaning: "None of the source's secrets is within its notBefore and notAfter.",
    fix: "Give the source a current secret; senders that retry are then served.",
  },
  WEBHOOK_STORE_UNAVAILABLE: {
    meaning: "The request could not be stored just now, so it was not accepted.",
    fix: "Nothing to do for the sender but to retry; look at the database's health.",
  },
  WEBHOOK_OVERLOADED: {
    meaning: "More requests are in flight than this process takes.",
    fix: "Retry after the given seconds; run another ingress, or raise WARREN_MAX_IN_FLIGHT.",
  },
  HTTP_NOT_FOUND: {
    meaning: "There is nothing at this path for this method.",
    fix: "Webhooks are taken at POST /webhooks/<source>; the management API describes itself at /api/v1/openapi.json of its own port.",
  },
  HTTP_BAD_REQUEST: {
    meaning: "The request is not valid HTTP for this path.",
    fix: "The detail names the part that is wrong.",
  },
} as const satisfies CodeEntries;
